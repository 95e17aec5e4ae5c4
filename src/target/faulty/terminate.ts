/** Faults of the terminate: what is left behind, and what goes up with a connection. */

import { seqAdd } from '../../base/seq.ts';
import {
  BlockLayer,
  forEachBlock,
  layerOf,
  type MiniportOffloadBlock,
  NdisStatus,
  setEveryStatus,
  TcpOffloadEventType,
  TcpUploadReason,
} from '../../ndis/miniport.ts';
import type { NetBufferList } from '../../state/net-buffer-list.ts';
import { TcpDelegatedState } from '../../state/tcp.ts';
import {
  alias,
  chained,
  DATA,
  type DataNames,
  emptyNetBufferList,
  type Fault,
  fault,
  onDataEntry,
  onStateComplete,
  onStateEntry,
  type Shim,
  STATE,
  takeApart,
} from './shim.ts';

const [, TERMINATE] = STATE;
const [SEND, RECEIVE, DISCONNECT, FORWARD] = DATA;
const { FAILURE, PENDING } = NdisStatus;

/** Keeps lists of a kind for itself. */
function keeps(rule: string, names: DataNames): Fault {
  return fault(rule, `completes the terminate with a ${names.name} outstanding`, (shim) =>
    onDataEntry(shim, names, () => PENDING),
  );
}

/** Changes the blocks of connections on their way up. */
function brings(
  rule: string,
  how: string,
  change: (block: MiniportOffloadBlock, delegated: TcpDelegatedState, shim: Shim) => void,
): Fault {
  return fault(rule, how, (shim) =>
    onStateComplete(shim, TERMINATE, (root, former) => {
      forEachBlock(root, (block) => {
        if (block.delegatedState instanceof TcpDelegatedState) change(block, block.delegatedState, shim);
      });
      former();
    }),
  );
}

/** The same where there is a send chain. */
function chains(
  rule: string,
  how: string,
  change: (block: MiniportOffloadBlock, delegated: TcpDelegatedState) => void,
): Fault {
  return brings(rule, how, (block, delegated) => {
    if (block.netBufferListChain !== null) change(block, delegated);
  });
}

/** Fails the first terminate of a connection, as a NIC does that has lost its state. */
function corrupt(shim: Shim, then: () => void): void {
  let isFirst = true;
  onStateEntry(shim, TERMINATE, (root, former) => {
    if (!isFirst || layerOf(root.header.type) !== BlockLayer.TCP || root.nextBlock !== null) {
      former();
      return;
    }
    isFirst = false;
    shim.defer(() => {
      setEveryStatus(root, FAILURE);
      shim.above.terminateOffloadComplete(shim.handle, root);
      then();
    });
  });
}

/** Holds the terminate back, and completes it while an indication of its own is inside the host. */
const insideIndication = fault(
  'TERM-036',
  'completes a terminate while a status indication is inside the host',
  (shim) => {
    let finish: (() => void) | null = null;
    const returned = shim.below.tcpOffloadReceiveReturn;
    shim.below.tcpOffloadReceiveReturn = (context, lists) => {
      const answer = returned(context, lists);
      finish?.();
      finish = null;
      return answer;
    };
    onStateComplete(shim, TERMINATE, (_root, former) => {
      finish = former;
      shim.above.indicateStatusEx(shim.handle, { statusCode: NdisStatus.LINK_STATE_UP });
      finish?.();
      finish = null;
    });
  },
);

const leavesForward = keeps('TERM-034', FORWARD);
const abortsFirst = fault('TERM-023', 'raises the Abort of a corrupt connection without a Retrieve', (shim) =>
  corrupt(shim, () => shim.event(shim.connections[0]!, TcpOffloadEventType.INDICATE_ABORT)),
);
const goesOn = fault('TERM-024', 'gives receives of a corrupt connection back as if it were whole', (shim) =>
  corrupt(shim, () => {
    const connection = shim.connections[0]!;
    shim.event(connection, TcpOffloadEventType.INDICATE_RETRIEVE, TcpUploadReason.HARDWARE_FAILURE);
    shim.event(connection, TcpOffloadEventType.INDICATE_ABORT);
  }),
);
const hostsList = fault(
  'TERM-048',
  "hands up a list as BufferedData that is the host's",
  (shim) => {
    let held: NetBufferList | null = null;
    const former = shim.above.tcpOffloadReceiveHandler;
    shim.above.tcpOffloadReceiveHandler = (handle, list, status, consumed) => {
      const answer = former(handle, list, status, consumed);
      if (answer === NdisStatus.SUCCESS) held = list;
      return answer;
    };
    onStateComplete(shim, TERMINATE, (root, complete) => {
      forEachBlock(root, ({ delegatedState }) => {
        if (delegatedState instanceof TcpDelegatedState && held !== null) delegatedState.bufferedData = held;
      });
      complete();
    });
  },
  'RECV-091',
);

export const TERMINATE_FAULTS: readonly Fault[] = [
  keeps('TERM-032', RECEIVE),
  alias('NBL-020', keeps('TERM-032', RECEIVE)),
  keeps('TERM-033', DISCONNECT),
  leavesForward,
  alias('FWD-020', leavesForward),
  keeps('TERM-035', SEND),
  insideIndication,
  alias('EVT-049', insideIndication),
  hostsList,
  alias('NBL-007', hostsList),
  chains('TERM-052', 'chains sends in another order', (block, delegated) => {
    const lists = takeApart(block.netBufferListChain!).reverse();
    block.netBufferListChain = chained(lists);
    delegated.sendDataHead = lists[0]!;
    delegated.sendDataTail = lists.at(-1)!;
  }),
  chains('TERM-053', 'chains a list that was not sent', (block) => {
    const lists = takeApart(block.netBufferListChain!);
    block.netBufferListChain = chained([...lists, emptyNetBufferList()]);
  }),
  brings('TERM-054', 'brings a chain though nothing was outstanding', (block, delegated) => {
    if (block.netBufferListChain !== null) return;
    block.netBufferListChain = emptyNetBufferList();
    delegated.sendDataHead = block.netBufferListChain;
    delegated.sendDataTail = block.netBufferListChain;
  }),
  chains('TERM-055', 'brings a chain without SendDataHead', (_block, delegated) => {
    delegated.sendDataHead = null;
  }),
  chains('TERM-056', 'brings a chain with SndMax before SndUna', (_block, delegated) => {
    delegated.sndMax = seqAdd(delegated.sndUna, -5);
  }),
  abortsFirst,
  alias('QRY-015', abortsFirst),
  alias('INV-020', abortsFirst),
  goesOn,
  alias('QRY-016', goesOn),
  alias('INV-021', goesOn),
];
