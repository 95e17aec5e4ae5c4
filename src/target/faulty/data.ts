/** Faults of data calls: what entries answer, how lists come back, in which order and with which account. */

import { NdisStatus, TcpDisconnectFlag, TcpOffloadEventType, TcpUploadReason } from '../../ndis/miniport.ts';
import { dataLengthOf, NetBuffer, type NetBufferList } from '../../state/net-buffer-list.ts';
import {
  account,
  alias,
  chained,
  DATA,
  type DataNames,
  type Fault,
  fault,
  onDataComplete,
  onDataEntry,
  type Shim,
  takeApart,
  wholeOf,
} from './shim.ts';

const [SEND, RECEIVE, DISCONNECT, FORWARD] = DATA;
const { SUCCESS, FAILURE, PENDING, RESOURCES, PAUSED, REQUEST_ABORTED, UPLOAD_IN_PROGRESS, INVALID_STATE } = NdisStatus;

function ofEach(rules: readonly string[], how: string, seat: (shim: Shim, names: DataNames) => void): Fault[] {
  return rules.flatMap((rule, i) =>
    rule === '' ? [] : [fault(rule, how.replace('*', DATA[i]!.name), (shim) => seat(shim, DATA[i]!))],
  );
}

/** Completes lists of a kind with a status that is not theirs. */
function says(rule: string, names: DataNames, status: number, how: string): Fault {
  return fault(rule, how, (shim) =>
    onDataComplete(shim, names, (lists, former) => {
      lists.status = status;
      former(lists);
    }),
  );
}

/** Tells a wrong account of lists that had bytes. */
function accounts(
  rule: string,
  names: DataNames,
  how: string,
  status: number,
  told: (whole: number) => number,
  advanced: (whole: number) => number,
): Fault {
  return fault(rule, how, (shim) =>
    onDataComplete(shim, names, (lists, former) => {
      const whole = wholeOf(lists);
      if (whole > 1) account(lists, status, told(whole), advanced(whole));
      former(lists);
    }),
  );
}

const half = (whole: number): number => whole >> 1;
const all = (whole: number): number => whole;
const none = (): number => 0;
const more = (whole: number): number => whole + 1;

/** Completes a disconnect of a kind at once, without looking at the sends before it. */
function hasty(rule: string, flags: number, how: string): Fault {
  return fault(rule, how, (shim) => {
    let outstanding = 0;
    onDataEntry(shim, SEND, (lists, former) => {
      for (let list: NetBufferList | null = lists; list !== null; list = list.next) outstanding++;
      return former();
    });
    onDataComplete(shim, SEND, (lists, former) => {
      for (let list: NetBufferList | null = lists; list !== null; list = list.next) outstanding--;
      former(lists);
    });
    onDataEntry(shim, DISCONNECT, (list, former, its) => {
      if (its !== flags || outstanding === 0) return former();
      shim.runtime.urgent(() => {
        account(list, SUCCESS, dataLengthOf(list), dataLengthOf(list));
        shim.above.tcpOffloadDisconnectComplete(shim.handle, list);
      });
      return PENDING;
    });
  });
}

const reversed = fault('NBL-021', 'completes sends in the reverse order', (shim) =>
  onDataComplete(shim, SEND, (lists, former) => former(chained(takeApart(lists).reverse())!)),
);

/** Shims that have said of a send that half of it was sent. */
const hasHalved: WeakSet<Shim> = new WeakSet();

/** Changes sends one by one as they are completed; told with each how many there are, itself included. */
function onSeveral(shim: Shim, change: (list: NetBufferList, outstanding: number) => void): void {
  let outstanding = 0;
  onDataEntry(shim, SEND, (lists, former) => {
    for (let list: NetBufferList | null = lists; list !== null; list = list.next) outstanding++;
    return former();
  });
  onDataComplete(shim, SEND, (lists, former) => {
    for (const list of takeApart(lists)) {
      change(list, outstanding--);
      former(list);
    }
  });
}

export const DATA_FAULTS: readonly Fault[] = [
  ...ofEach(['SEND-001', 'RECV-001', 'DISC-001', 'FWD-001'], 'answers SUCCESS from the * entry', (shim, names) =>
    onDataEntry(shim, names, (_lists, former) => {
      former();
      return SUCCESS;
    }),
  ),
  ...ofEach(['SEND-002', 'RECV-003', '', ''], 'completes a * from inside the entry', (shim, names) =>
    onDataEntry(shim, names, (lists) => {
      for (const list of takeApart(lists)) {
        list.status = UPLOAD_IN_PROGRESS;
        (shim.above[names.complete] as (handle: unknown, list: NetBufferList) => void)(shim.handle, list);
      }
      return PENDING;
    }),
  ),
  fault(
    'RECV-044',
    'never completes a posted receive, and fails every terminate thereafter',
    (shim) => {
      let hasKept = false;
      onDataEntry(shim, RECEIVE, () => {
        hasKept = true;
        return PENDING;
      });
      const terminate = shim.below.terminateOffload;
      shim.below.terminateOffload = (context, root) => {
        if (!hasKept) return terminate(context, root);
        shim.defer(() => {
          for (let block: typeof root | null = root; block !== null; block = block.dependentBlockList)
            block.status = FAILURE;
          shim.above.terminateOffloadComplete(shim.handle, root);
        });
      };
    },
    'TERM-022',
  ),
  fault('NBL-009', 'completes each send twice', (shim) =>
    onDataComplete(shim, SEND, (lists, former) => {
      for (const list of takeApart(lists)) {
        former(list);
        former(list);
      }
    }),
  ),
  fault('NBL-010', 'gives a send back with another buffer', (shim) =>
    onDataComplete(shim, SEND, (lists, former) => {
      lists.firstNetBuffer = new NetBuffer(null, 0);
      former(lists);
    }),
  ),
  fault('NBL-011', 'completes receives as sends', (shim) =>
    onDataComplete(shim, RECEIVE, (lists) => shim.above.tcpOffloadSendComplete(shim.handle, lists)),
  ),
  fault('DISC-030', 'completes sends as disconnects', (shim) =>
    onDataComplete(shim, SEND, (lists) => {
      for (const list of takeApart(lists)) shim.above.tcpOffloadDisconnectComplete(shim.handle, list);
    }),
  ),
  reversed,
  alias('SEND-005', reversed),
  fault('RECV-009', 'completes receives in the reverse order', (shim) =>
    onDataComplete(shim, RECEIVE, (lists, former) => former(chained(takeApart(lists).reverse())!)),
  ),
  says('SEND-018', SEND, FAILURE, 'completes a send with FAILURE'),
  says('RECV-063', RECEIVE, FAILURE, 'completes a receive with FAILURE'),
  says('DISC-031', DISCONNECT, RESOURCES, 'completes a disconnect with RESOURCES'),
  says('FWD-019', FORWARD, PAUSED, 'completes a forward with PAUSED'),
  says('NBL-015', SEND, PENDING, 'completes a send without a status'),
  says('SEND-044', SEND, PAUSED, 'completes a send with PAUSED'),
  says('DISC-040', SEND, REQUEST_ABORTED, 'completes a send with REQUEST_ABORTED though nothing was aborted'),
  says('RECV-065', RECEIVE, INVALID_STATE, 'completes a receive with INVALID_STATE before the peer has finished'),
  accounts('SEND-017', SEND, 'says SUCCESS of a send of which it sent nothing', SUCCESS, none, none),
  accounts('SEND-021', SEND, 'says SUCCESS of a send that it sent in part', SUCCESS, half, half),
  accounts('SEND-024', SEND, 'tells more bytes than a send had', UPLOAD_IN_PROGRESS, more, all),
  accounts('NBL-016', SEND, 'tells no count of a send', SUCCESS, none, all),
  accounts('SEND-025', SEND, 'leaves the data start of a send where it was', SUCCESS, all, none),
  accounts('NBL-017', SEND, 'moves the data start of a send by another count than it tells', SUCCESS, all, half),
  accounts('RECV-066', RECEIVE, 'tells more bytes than a receive had room for', SUCCESS, more, all),
  fault('RECV-043', 'tells bytes of a receive that had no room', (shim) =>
    onDataComplete(shim, RECEIVE, (lists, former) => {
      for (let list: NetBufferList | null = lists; list !== null; list = list.next) {
        if (wholeOf(list) === 0) list.tcpOffloadBytesTransferred = 3;
      }
      former(lists);
    }),
  ),
  accounts('RECV-067', RECEIVE, 'leaves the data start of a receive where it was', SUCCESS, all, none),
  accounts('DISC-024', DISCONNECT, 'says SUCCESS of a disconnect whose data it sent in part', SUCCESS, half, half),
  accounts('DISC-028', DISCONNECT, 'tells more bytes than a disconnect had', UPLOAD_IN_PROGRESS, more, all),
  accounts(
    'DISC-029',
    DISCONNECT,
    'leaves the data start of a disconnect where it was',
    UPLOAD_IN_PROGRESS,
    half,
    none,
  ),
  fault('SEND-019', 'goes on sending behind a send that failed', (shim) => {
    let hasFailed = false;
    onSeveral(shim, (list, outstanding) => {
      if (hasFailed || outstanding < 2) return;
      hasFailed = true;
      account(list, UPLOAD_IN_PROGRESS, 0, 0);
    });
  }),
  fault('SEND-020', 'sends two lists in part', (shim) =>
    onSeveral(shim, (list, outstanding) => {
      const whole = wholeOf(list);
      if (outstanding > 1 || hasHalved.has(shim)) account(list, UPLOAD_IN_PROGRESS, half(whole), half(whole));
      if (outstanding > 1) hasHalved.add(shim);
    }),
  ),
  hasty('DISC-008', TcpDisconnectFlag.ABORTIVE_CLOSE, 'completes an abortive disconnect before the sends'),
  hasty('DISC-023', TcpDisconnectFlag.GRACEFUL_CLOSE, 'completes a graceful disconnect before the sends'),
  fault('EVT-019', 'goes on sending after a Retrieve with a mandatory reason', (shim) =>
    shim.onLive((connection) =>
      shim.event(connection, TcpOffloadEventType.INDICATE_RETRIEVE, TcpUploadReason.UPLOAD_REQUESTED),
    ),
  ),
  fault('RECV-082', 'answers FAILURE to a receive return', (shim) => {
    const former = shim.below.tcpOffloadReceiveReturn;
    shim.below.tcpOffloadReceiveReturn = (context, lists) => {
      former(context, lists);
      return FAILURE;
    };
  }),
];
