/** Faults of a driver above: what it posts, in what shape and when; what it answers and returns. */

import { type NdisOffloadHandle, NdisStatus, TcpDisconnectFlag } from '../../ndis/protocol.ts';
import {
  dataLengthOf,
  emptyNetBufferList,
  NetBuffer,
  type NetBufferList,
  netBufferListOver,
} from '../../state/net-buffer-list.ts';
import { alias, connectionOf, type DriverFault, type DriverShim, fault, over } from './shim.ts';

type DataCall = 'offloadTcpSend' | 'offloadTcpReceive' | 'offloadTcpForward';

/** Replaces a data call. */
function onPost(
  shim: DriverShim,
  call: DataCall,
  act: (handle: NdisOffloadHandle, lists: NetBufferList, former: (lists: NetBufferList) => number) => number,
): void {
  const former = shim.ndis[call];
  shim.ndis[call] = (handle, lists) => act(handle, lists, (its) => former(handle, its));
}

/** Changes lists before they are posted. */
function shapes(rule: string, call: DataCall, how: string, change: (list: NetBufferList) => void): DriverFault {
  return fault(rule, how, (shim) =>
    onPost(shim, call, (_handle, lists, former) => {
      change(lists);
      return former(lists);
    }),
  );
}

/** Posts a list that is below already. */
function twice(rule: string, call: DataCall): DriverFault {
  return fault(rule, `calls ${call} with a list that the driver below has`, (shim) =>
    onPost(shim, call, (_handle, lists, former) => {
      former(lists);
      return former(lists);
    }),
  );
}

function onDisconnect(
  shim: DriverShim,
  act: (
    handle: NdisOffloadHandle,
    list: NetBufferList,
    flags: number,
    former: DriverShim['ndis']['offloadTcpDisconnect'],
  ) => number,
): void {
  const former = shim.ndis.offloadTcpDisconnect;
  shim.ndis.offloadTcpDisconnect = (handle, list, flags) => act(handle, list, flags, former);
}

/** Calls something on a connection that is being terminated. */
function afterTerminate(
  rule: string,
  how: string,
  act: (shim: DriverShim, handle: NdisOffloadHandle) => void,
): DriverFault {
  return fault(rule, how, (shim) => {
    const former = shim.ndis.terminateOffload;
    shim.ndis.terminateOffload = (binding, root) => {
      const handle = connectionOf(root)?.offloadHandle ?? null;
      former(binding, root);
      if (handle !== null) act(shim, handle);
    };
  });
}

/**
 * A list that calls `act` when the driver below looks at it. There is one thread here: what another processor would do while a
 * call is inside has to come from inside it. The verifier writes the status just before the call; until then nothing happens.
 */
function snare(act: () => void): NetBufferList {
  const list = netBufferListOver(new Uint8Array(4));
  let [status, isArmed] = [list.status, false];
  Object.defineProperty(list, 'status', {
    get: () => status,
    set: (value: number) => {
      status = value;
      isArmed = true;
    },
  });
  Object.defineProperty(list, 'next', {
    get: () => {
      if (isArmed) {
        isArmed = false;
        act();
      }
      return null;
    },
    set: () => {},
  });
  return list;
}

/** A call from inside a call of the same kind. */
function nested(rule: string, call: DataCall): DriverFault {
  return fault(rule, `calls ${call} while a call of it is inside the driver below`, (shim) =>
    shim.onLive((handle) => {
      const again = (): void => void shim.ndis[call](handle, netBufferListOver(new Uint8Array(4)));
      shim.ndis[call](handle, snare(again));
    }),
  );
}

/** Changes what the driver answers to an indication. */
function answers(
  rule: string,
  how: string,
  change: (answer: number, consumed: { value: number }, bytes: number) => number,
): DriverFault {
  return fault(rule, how, (shim) => {
    const former = shim.driver.tcpOffloadReceiveIndicate;
    shim.driver.tcpOffloadReceiveIndicate = (handle, list, status, consumed) => {
      const bytes = dataLengthOf(list);
      return change(former.call(shim.driver, handle, list, status, consumed), consumed, bytes);
    };
  });
}

const twoBuffers = shapes('RECV-004', 'offloadTcpReceive', 'posts a receive of two buffers', (list) => {
  list.firstNetBuffer!.next = new NetBuffer(null, 0);
});
const forwardsEarly = fault('INIT-048', 'forwards to a connection while its offload is in progress', (shim) =>
  shim.onInitiate((root, pass) => {
    const handle = connectionOf(root)?.offloadHandle ?? null;
    pass(root);
    if (handle !== null) shim.ndis.offloadTcpForward(handle, segment());
  }),
);

/** A list that looks like a TCP header. */
function segment(): NetBufferList {
  const bytes = new Uint8Array(20);
  bytes[12] = 0x50;
  return netBufferListOver(bytes);
}

export const DATA_FAULTS: readonly DriverFault[] = [
  forwardsEarly,
  alias('FWD-008', forwardsEarly),
  afterTerminate('TERM-030', 'sends once the terminate was called', (shim, handle) => {
    shim.ndis.offloadTcpSend(handle, netBufferListOver(new Uint8Array(4)));
  }),
  afterTerminate('TERM-029', 'disconnects once the terminate was called', (shim, handle) => {
    shim.ndis.offloadTcpDisconnect(handle, emptyNetBufferList(), TcpDisconnectFlag.GRACEFUL_CLOSE);
  }),
  afterTerminate('FWD-010', 'forwards once the terminate was called', (shim, handle) => {
    shim.ndis.offloadTcpForward(handle, segment());
  }),
  fault(
    'DISC-032',
    'tries a disconnect again that failed',
    (shim) => {
      let [handle, flags] = [null as NdisOffloadHandle | null, 0];
      onDisconnect(shim, (its, list, asked, former) => {
        if (asked === TcpDisconnectFlag.GRACEFUL_CLOSE) [handle, flags] = [its, asked];
        return former(its, list, asked);
      });
      const own = emptyNetBufferList();
      const completed = shim.driver.tcpOffloadDisconnectComplete;
      shim.driver.tcpOffloadDisconnectComplete = (context, list) => {
        if (list === own) return;
        const hasFailed = list !== null && list.status !== NdisStatus.SUCCESS && handle !== null;
        completed.call(shim.driver, context, list);
        if (hasFailed) shim.ndis.offloadTcpDisconnect(handle!, own, flags);
      };
    },
    'TERM-029',
  ),
  nested('SEND-010', 'offloadTcpSend'),
  nested('RECV-010', 'offloadTcpReceive'),
  twice('NBL-001', 'offloadTcpSend'),
  twice('NBL-002', 'offloadTcpReceive'),
  twice('NBL-003', 'offloadTcpForward'),
  fault('NBL-004', 'sends a list that the driver below has for a disconnect', (shim) =>
    onDisconnect(shim, (handle, list, flags, former) => {
      former(handle, list, flags);
      return shim.ndis.offloadTcpSend(handle, list);
    }),
  ),
  twoBuffers,
  alias('NBL-012', twoBuffers),
  shapes('RECV-056', 'offloadTcpReceive', 'posts a receive of push mode with data in it', (list) => {
    list.tcpReceiveBytesTransferred = 3;
    list.tcpReceiveNoPush = false;
  }),
  shapes('SEND-004', 'offloadTcpSend', 'posts a send list without a buffer', (list) => {
    list.firstNetBuffer = null;
  }),
  fault('DISC-003', 'disconnects with two buffers', (shim) =>
    onDisconnect(shim, (handle, list, flags, former) => {
      list.firstNetBuffer!.next = new NetBuffer(null, 0);
      return former(handle, list, flags);
    }),
  ),
  fault('DISC-004', 'disconnects both ways at once', (shim) =>
    onDisconnect(shim, (handle, list, _flags, former) => former(handle, list, 3)),
  ),
  fault('DISC-013', 'puts data into an abortive disconnect', (shim) =>
    onDisconnect(shim, (handle, list, flags, former) => {
      const isAbort = flags === TcpDisconnectFlag.ABORTIVE_CLOSE;
      return former(handle, isAbort ? netBufferListOver(new Uint8Array(4)) : list, flags);
    }),
  ),
  shapes('FWD-012', 'offloadTcpForward', 'forwards less than a TCP header', (list) => {
    list.firstNetBuffer!.dataLength = 12;
  }),
  shapes('FWD-013', 'offloadTcpForward', 'forwards a list of two buffers', (list) => {
    list.firstNetBuffer!.next = new NetBuffer(null, 0);
  }),
  answers('RECV-073', 'accepts an indication and consumes less than all', (answer, consumed) => {
    if (answer === NdisStatus.SUCCESS) consumed.value--;
    return answer;
  }),
  answers('RECV-074', 'refuses an indication and consumes a byte', (answer, consumed) => {
    if (answer === NdisStatus.OFFLOAD_DATA_NOT_ACCEPTED) consumed.value = 1;
    return answer;
  }),
  answers('RECV-075', 'accepts an indication in part and consumes all', (answer, consumed, bytes) => {
    if (answer === NdisStatus.OFFLOAD_DATA_PARTIALLY_ACCEPTED) consumed.value = bytes;
    return answer;
  }),
  fault('RECV-076', 'returns a list that it has refused', (shim) => {
    const former = shim.driver.tcpOffloadReceiveIndicate;
    shim.driver.tcpOffloadReceiveIndicate = (handle, list, status, consumed) => {
      const answer = former.call(shim.driver, handle, list, status, consumed);
      if (answer === NdisStatus.OFFLOAD_DATA_NOT_ACCEPTED) {
        shim.defer(() => void shim.ndis.offloadTcpReceiveReturn(shim.binding, list));
      }
      return answer;
    };
  }),
  fault('RECV-077', 'returns a list that was never indicated', (shim) =>
    shim.onLive(() => void shim.ndis.offloadTcpReceiveReturn(shim.binding, emptyNetBufferList())),
  ),
  over(
    'lends-frames',
    fault('NBL-019', 'returns ordinary frames as if they were indications of the chimney', (shim) => {
      shim.driver.receiveNetBufferLists = (_context, lists) => {
        shim.ndis.offloadTcpReceiveReturn(shim.binding, lists);
      };
    }),
  ),
];
