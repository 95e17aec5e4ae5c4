/** Faults of receive indications: their form, their moment, and how they follow each other. */

import { forEachBlock, NdisStatus, TcpDisconnectFlag, TcpOffloadEventType } from '../../ndis/miniport.ts';
import { NetBuffer, type NetBufferList } from '../../state/net-buffer-list.ts';
import { TcpDelegatedState } from '../../state/tcp.ts';
import {
  account,
  alias,
  chained,
  DATA,
  emptyNetBufferList,
  type Fault,
  fault,
  once,
  onDataComplete,
  onDataEntry,
  onStateComplete,
  onStateEntry,
  type Shim,
  STATE,
  takeApart,
} from './shim.ts';

const [INITIATE, TERMINATE] = STATE;
const [, RECEIVE, DISCONNECT] = DATA;
const { SUCCESS, PENDING } = NdisStatus;

/** Changes the target's own indications. */
function form(rule: string, how: string, change: (list: NetBufferList) => void, status: number = SUCCESS): Fault {
  return fault(rule, how, (shim) => {
    const former = shim.above.tcpOffloadReceiveHandler;
    shim.above.tcpOffloadReceiveHandler = (handle, list, _status, consumed) => {
      change(list);
      return former(handle, list, status, consumed);
    };
  });
}

/** Indicates something of its own while a call is inside that the host makes in an indication. */
function inside(
  rule: string,
  how: string,
  entry: 'tcpOffloadReceive' | 'tcpOffloadReceiveReturn',
  ...others: string[]
): Fault {
  const seat = (shim: Shim): void => {
    let depth = 0;
    const indicated = shim.above.tcpOffloadReceiveHandler;
    shim.above.tcpOffloadReceiveHandler = (...given) => {
      depth++;
      const answer = indicated(...given);
      depth--;
      return answer;
    };
    const former = shim.below[entry] as (...given: unknown[]) => number;
    (shim.below as unknown as Record<string, unknown>)[entry] = (...given: unknown[]): number => {
      const answer = former(...given);
      if (depth === 1) shim.indicate(shim.connections[0]!);
      return answer;
    };
  };
  return fault(rule, how, seat, ...others);
}

/** After a receive was posted and not passed on. */
function afterPost(rule: string, how: string, act: (shim: Shim, lists: readonly NetBufferList[]) => void): Fault {
  return fault(rule, how, (shim) =>
    onDataEntry(shim, RECEIVE, (lists) => {
      const posted = takeApart(lists);
      shim.defer(() => act(shim, posted));
      return PENDING;
    }),
  );
}

/**
 * Calls `act` when the host takes a list out of the chain in which it was completed. There is one thread here: what would happen
 * meanwhile on another processor has to come from inside.
 */
function whenTaken(list: NetBufferList, act: () => void): void {
  Object.defineProperty(list, 'next', {
    configurable: true,
    get: () => null,
    set: () => {
      Object.defineProperty(list, 'next', { configurable: true, writable: true, enumerable: true, value: null });
      act();
    },
  });
}

/** Calls `act` once the host has refused an indication. */
function onRefusal(shim: Shim, act: () => void): void {
  const former = shim.above.tcpOffloadReceiveHandler;
  shim.above.tcpOffloadReceiveHandler = (...given) => {
    const answer = former(...given);
    if (answer === NdisStatus.OFFLOAD_DATA_NOT_ACCEPTED) act();
    return answer;
  };
}

const twoBuffers = form('RECV-070', 'indicates a list of two buffers', (list) => {
  list.firstNetBuffer!.next = new NetBuffer(null, 5);
});
const beforeEnd = fault('INIT-050', 'indicates data before the initiate is complete', (shim) =>
  onStateEntry(shim, INITIATE, (root, former) => {
    former();
    let block = root;
    while (block.dependentBlockList !== null) block = block.dependentBlockList;
    if (block.ndisOffloadHandle !== null) shim.indicate(block.ndisOffloadHandle);
  }),
);

export const RECEIVE_FAULTS: readonly Fault[] = [
  form('RECV-069', 'indicates a chain', (list) => {
    list.next = emptyNetBufferList();
  }),
  twoBuffers,
  form('CAP-016', 'indicates lists that were made with two buffers', (list) => {
    list.firstNetBuffer!.next = new NetBuffer(null, 0);
  }),
  form('RECV-071', 'indicates with Status RESOURCES', () => {}, NdisStatus.RESOURCES),
  fault('NBL-005', 'indicates a list that the host holds', (shim) => {
    const former = shim.above.tcpOffloadReceiveHandler;
    shim.above.tcpOffloadReceiveHandler = (handle, list, status, consumed) => {
      const answer = former(handle, list, status, consumed);
      return answer === SUCCESS ? former(handle, list, status, consumed) : answer;
    };
  }),
  beforeEnd,
  alias('INIT-055', beforeEnd),
  fault('INIT-062', 'indicates the buffered data of an initiate before a receive is posted', (shim) => {
    let isBuffered = false;
    onStateEntry(shim, INITIATE, (root, former) => {
      forEachBlock(root, ({ delegatedState }) => {
        if (delegatedState instanceof TcpDelegatedState) isBuffered ||= delegatedState.bufferedData !== null;
      });
      former();
    });
    shim.onLive((connection) => {
      if (isBuffered) shim.indicate(connection);
    });
  }),
  fault('RECV-040', 'indicates refused data again', (shim) => {
    onRefusal(
      shim,
      once(() => void shim.indicate(shim.connections[0]!)),
    );
  }),
  fault('RECV-041', 'indicates while a receive waits that was posted after a refusal', (shim) => {
    let hasRefused = false;
    onRefusal(shim, () => {
      hasRefused = true;
    });
    onDataEntry(shim, RECEIVE, (_lists, former) => {
      if (!hasRefused) return former();
      shim.defer(() => void shim.indicate(shim.connections[0]!));
      return PENDING;
    });
  }),
  afterPost('RECV-013', 'indicates while a receive is posted', (shim) => void shim.indicate(shim.connections[0]!)),
  fault('DISC-011', 'indicates data after an abortive disconnect', (shim) =>
    onDataEntry(shim, DISCONNECT, (_list, former, flags) => {
      const answer = former();
      const [connection] = shim.connections;
      if (flags === TcpDisconnectFlag.ABORTIVE_CLOSE) {
        // Before the receives are given back, so that none is posted is no excuse: the rule is looked at first.
        shim.defer(() => void shim.indicate(connection!));
      }
      return answer;
    }),
  ),
  fault('DISC-035', 'indicates data after TcpIndicateDisconnect', (shim) =>
    shim.onLive((connection) => {
      shim.event(connection, TcpOffloadEventType.INDICATE_DISCONNECT);
      shim.indicate(connection);
    }),
  ),
  fault('CTX-010', 'indicates data of a connection that was terminated', (shim) => {
    let connection = null as (typeof shim.connections)[0] | null;
    shim.onLive((its) => {
      connection = its;
    });
    onStateComplete(shim, TERMINATE, (_root, former) => {
      former();
      if (connection !== null) shim.indicate(connection);
    });
  }),
  afterPost('RECV-061', 'completes a receive empty, with more to come', (shim, posted) => {
    for (const list of posted) {
      account(list, SUCCESS, 0, 0);
      shim.above.tcpOffloadReceiveComplete(shim.handle, list);
    }
    shim.indicate(shim.connections[0]!);
  }),
  fault(
    'RECV-053',
    'completes a nonpush receive that is not full, with more to come',
    (shim) =>
      onDataEntry(shim, RECEIVE, (list, former) => {
        if (!list.tcpReceiveNoPush) return former();
        shim.defer(() => {
          account(list, SUCCESS, 4, 4);
          shim.above.tcpOffloadReceiveComplete(shim.handle, list);
          shim.indicate(shim.connections[0]!);
        });
        return PENDING;
      }),
    'BYTES',
  ),
  inside('RECV-015', 'indicates while another indication is inside the host', 'tcpOffloadReceiveReturn'),
  fault(
    'RECV-019',
    'completes a receive that has waited while the completion of another is inside the host',
    (shim) => {
      const kept: NetBufferList[] = [];
      onDataEntry(shim, RECEIVE, (lists, former) => {
        const isFirst = kept.length === 0;
        const [first, ...others] = takeApart(lists);
        kept.push(...(isFirst ? others : [first!, ...others]));
        return isFirst ? former() : PENDING;
      });
      onDataComplete(shim, RECEIVE, (list, former) => {
        const chain = kept.splice(0);
        for (const one of chain) one.status = NdisStatus.UPLOAD_IN_PROGRESS;
        const rest = chained(chain);
        if (rest !== null) whenTaken(list, () => shim.above.tcpOffloadReceiveComplete(shim.handle, rest));
        former(list);
      });
    },
  ),
  fault(
    'RECV-031',
    'completes a receive that is posted inside an indication at once',
    (shim) => {
      let depth = 0;
      const indicated = shim.above.tcpOffloadReceiveHandler;
      shim.above.tcpOffloadReceiveHandler = (...given) => {
        depth++;
        const answer = indicated(...given);
        depth--;
        return answer;
      };
      onDataEntry(shim, RECEIVE, (lists, former) => {
        if (depth === 0) return former();
        lists.status = NdisStatus.UPLOAD_IN_PROGRESS;
        shim.above.tcpOffloadReceiveComplete(shim.handle, lists);
        return PENDING;
      });
    },
    'RECV-003',
  ),
  inside(
    'RECV-017',
    'indicates while the indication is inside in which a receive was posted',
    'tcpOffloadReceive',
    'RECV-013',
    'RECV-010',
  ),
];
