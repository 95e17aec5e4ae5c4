/** Faults of the terminate: what is left behind, and what goes up with a connection. */

import { seqAdd } from '../../base/seq.ts';
import {
  BlockLayer,
  forEachBlock,
  layerOf,
  type MiniportOffloadBlock,
  NdisStatus,
  TcpOffloadEventType,
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

const [INITIATE, TERMINATE] = STATE;
const [SEND, RECEIVE, DISCONNECT, FORWARD] = DATA;
const { PENDING } = NdisStatus;

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

/** The same with an event of the connection. */
const insideEvent = fault(
  'EVT-049',
  'completes a terminate while an event of the connection is inside the host',
  (shim) => {
    let finish: (() => void) | null = null;
    const returned = shim.below.tcpOffloadReceiveReturn;
    shim.below.tcpOffloadReceiveReturn = (context, lists) => {
      const answer = returned(context, lists);
      finish?.();
      finish = null;
      return answer;
    };
    onStateComplete(shim, TERMINATE, (root, former) => {
      finish = former;
      forEachBlock(root, ({ header, ndisOffloadHandle }) => {
        if (layerOf(header.type) !== BlockLayer.TCP || ndisOffloadHandle === null) return;
        shim.event(ndisOffloadHandle, TcpOffloadEventType.INDICATE_SEND_BACKLOG_CHANGE, 65_536);
      });
      finish?.();
      finish = null;
    });
  },
);

const usesAgain = fault('NBL-007', 'uses a list of BufferedData again that the host has', (shim) =>
  onStateComplete(shim, TERMINATE, (root, former) => {
    const lists: NetBufferList[] = [];
    forEachBlock(root, ({ delegatedState }) => {
      if (delegatedState instanceof TcpDelegatedState && delegatedState.bufferedData !== null) {
        lists.push(delegatedState.bufferedData);
      }
    });
    former();
    for (const list of lists) shim.above.tcpOffloadReceiveComplete(shim.handle, list);
  }),
);

const notCopied = fault(
  'INIT-059',
  'hands up the very list of BufferedData with which the connection came',
  (shim) => {
    let lent: NetBufferList | null = null;
    onStateEntry(shim, INITIATE, (root, former) => {
      forEachBlock(root, ({ delegatedState }) => {
        if (delegatedState instanceof TcpDelegatedState) lent = delegatedState.bufferedData ?? lent;
      });
      former();
    });
    onStateComplete(shim, TERMINATE, (root, former) => {
      forEachBlock(root, ({ delegatedState }) => {
        if (delegatedState instanceof TcpDelegatedState && lent !== null) delegatedState.bufferedData = lent;
      });
      former();
    });
  },
  'RECV-091',
);

const leavesForward = keeps('TERM-034', FORWARD);
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
  insideEvent,
  hostsList,
  usesAgain,
  notCopied,
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
];
