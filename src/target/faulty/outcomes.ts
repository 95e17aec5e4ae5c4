/** Faults of how things come back while a connection ends, and of when and where a target speaks of it. */

import {
  BlockLayer,
  forEachBlock,
  IndicateOffloadEvent,
  layerOf,
  type MiniportOffloadBlock,
  NdisDevicePowerState,
  type NdisOffloadHandle,
  NdisStatus,
  Oid,
  setEveryStatus,
  TcpOffloadEventType,
  TcpUploadReason,
} from '../../ndis/miniport.ts';
import type { NetBufferList } from '../../state/net-buffer-list.ts';
import { TcpDelegatedState } from '../../state/tcp.ts';
import { queryBlock } from './events.ts';
import {
  account,
  alias,
  DATA,
  type DataNames,
  type Fault,
  fault,
  onDataComplete,
  onStateComplete,
  onStateEntry,
  type Shim,
  STATE,
  takeApart,
} from './shim.ts';

const [INITIATE, TERMINATE] = STATE;
const [SEND, RECEIVE, DISCONNECT, FORWARD] = DATA;
const { SUCCESS, FAILURE, RESOURCES, PAUSED, REQUEST_ABORTED, UPLOAD_IN_PROGRESS, UPLOAD_REQUESTED } = NdisStatus;
const { INDICATE_ABORT, INDICATE_DISCONNECT, INDICATE_RETRIEVE } = TcpOffloadEventType;

/** Whether a terminate of a connection is under way. */
function terminating(shim: Shim): () => boolean {
  let under = 0;
  onStateEntry(shim, TERMINATE, (_root, former) => {
    under++;
    former();
  });
  onStateComplete(shim, TERMINATE, (_root, former) => {
    under--;
    former();
  });
  return () => under > 0;
}

/** Gives empty lists back by a terminate with another status. */
function givesBack(rule: string, names: DataNames, status: number, how: string): Fault {
  return fault(rule, how, (shim) => {
    const isTerminating = terminating(shim);
    onDataComplete(shim, names, (lists, former) => {
      for (let list: NetBufferList | null = lists; list !== null && isTerminating(); list = list.next) {
        if (list.status === UPLOAD_IN_PROGRESS) list.status = status;
      }
      former(lists);
    });
  });
}

/** Keeps events of a kind to itself. */
function silent(rule: string, how: string, type: number): Fault {
  return fault(rule, how, (shim) => {
    const former = shim.above.tcpOffloadEventHandler;
    shim.above.tcpOffloadEventHandler = (handle, its, information) => {
      if (its !== type) former(handle, its, information);
    };
  });
}

/** What was out at an Abort comes back with another status. */
function keepsCalm(rule: string, names: DataNames): Fault {
  return fault(rule, `gives each ${names.name} that an Abort finds back with UPLOAD_IN_PROGRESS`, (shim) =>
    onDataComplete(shim, names, (lists, former) => {
      for (let list: NetBufferList | null = lists; list !== null; list = list.next) {
        if (list.status === REQUEST_ABORTED) list.status = UPLOAD_IN_PROGRESS;
      }
      former(lists);
    }),
  );
}

/** Ends the sends that a terminate brings as if the connection had been aborted. */
const abortsSends = fault(
  'TERM-057',
  'gives sends back by a terminate with REQUEST_ABORTED though nothing was aborted',
  (shim) =>
    onStateComplete(shim, TERMINATE, (root, former) => {
      forEachBlock(root, (block) => {
        if (block.netBufferListChain === null) return;
        for (const list of takeApart(block.netBufferListChain)) {
          list.status = REQUEST_ABORTED;
          shim.above.tcpOffloadSendComplete(shim.handle, list);
        }
        block.netBufferListChain = null;
        if (!(block.delegatedState instanceof TcpDelegatedState)) return;
        block.delegatedState.sendDataHead = null;
        block.delegatedState.sendDataTail = null;
      });
      former();
    }),
);

const speaksOfInvalid = fault(
  'INV-009',
  'names InvalidState for a connection that depends on nothing invalid',
  (shim) => shim.onLive((connection) => shim.event(connection, INDICATE_RETRIEVE, TcpUploadReason.INVALID_STATE)),
);

/** Asks for a connection; from then on nothing is done for it but what is forwarded. */
function asksBack(shim: Shim): void {
  let hasAsked = false;
  for (const names of [SEND, RECEIVE]) {
    onDataComplete(shim, names, (lists, former) => {
      for (let list: NetBufferList | null = lists; list !== null && hasAsked; list = list.next) {
        if (list.status === SUCCESS) list.status = UPLOAD_IN_PROGRESS;
      }
      former(lists);
    });
  }
  const indicated = shim.above.tcpOffloadReceiveHandler;
  shim.above.tcpOffloadReceiveHandler = (handle, list, status, consumed) => {
    if (!hasAsked) return indicated(handle, list, status, consumed);
    consumed.value = 0;
    return NdisStatus.OFFLOAD_DATA_NOT_ACCEPTED;
  };
  shim.onLive((connection) => {
    hasAsked = true;
    shim.event(connection, INDICATE_RETRIEVE, TcpUploadReason.UPLOAD_REQUESTED);
  });
}

/** Sends that came with a connection are kept for ever, and the connection with them. */
const keepsLuggage = fault(
  'INIT-070',
  'never completes the sends that came with a connection, and fails every terminate thereafter',
  (shim) => {
    const luggage = new Set<NetBufferList>();
    onStateEntry(shim, INITIATE, (root, former) => {
      forEachBlock(root, ({ netBufferListChain }) => {
        for (let list = netBufferListChain; list !== null; list = list.next) luggage.add(list);
      });
      former();
    });
    onDataComplete(shim, SEND, (lists, former) => {
      for (const list of takeApart(lists)) if (!luggage.has(list)) former(list);
    });
    onStateEntry(shim, TERMINATE, (root, former) => {
      if (luggage.size === 0) return former();
      shim.defer(() => {
        setEveryStatus(root, FAILURE);
        shim.above.terminateOffloadComplete(shim.handle, root);
      });
    });
  },
  'TERM-022',
);

/**
 * Calls `act` when the host looks up whose a handle is. There is one thread here: what would happen meanwhile on another processor
 * has to come from inside.
 */
function whenLookedUp(handle: NdisOffloadHandle, act: () => void): void {
  const { owner } = handle;
  Object.defineProperty(handle, 'owner', {
    configurable: true,
    get: () => {
      Object.defineProperty(handle, 'owner', { configurable: true, writable: true, value: owner });
      act();
      return owner;
    },
  });
}

function connectionIn(root: MiniportOffloadBlock): NdisOffloadHandle | null {
  let found: NdisOffloadHandle | null = null;
  forEachBlock(root, ({ header, ndisOffloadHandle }) => {
    if (layerOf(header.type) === BlockLayer.TCP) found ??= ndisOffloadHandle;
  });
  return found;
}

const insideCompletion = fault(
  'INIT-041',
  'indicates data while the completion of the initiate is inside the host',
  (shim) =>
    onStateComplete(shim, INITIATE, (root, former) => {
      const connection = connectionIn(root);
      if (connection !== null) whenLookedUp(connection, () => void shim.indicate(connection));
      former();
    }),
);

const worksAsleep = fault(
  'PWR-005',
  'indicates data in less than full power',
  (shim) => {
    let connection: NdisOffloadHandle | null = null;
    shim.onLive((its) => {
      connection = its;
    });
    const former = shim.below.oidRequest;
    shim.below.oidRequest = (context, request) => {
      const status = former(context, request);
      const isDown = request.oid === Oid.PNP_SET_POWER && request.information !== NdisDevicePowerState.D0;
      if (isDown && status === SUCCESS) shim.defer(() => void shim.indicate(connection!));
      return status;
    };
  },
  'CTX-010',
);

const pausedSends = fault(
  'EVT-037',
  'completes sends with PAUSED after it has asked for a pause and then for everything',
  (shim) => {
    shim.onLive(() =>
      shim.defer(() => {
        shim.above.indicateStatusEx(shim.handle, { statusCode: NdisStatus.OFFLOAD_PAUSE });
        shim.above.indicateStatusEx(shim.handle, { statusCode: NdisStatus.UPLOAD_ALL });
      }),
    );
    onDataComplete(shim, SEND, (lists, former) => {
      for (let list: NetBufferList | null = lists; list !== null; list = list.next) list.status = PAUSED;
      former(lists);
    });
  },
  'SEND-044',
);

/** Completes sends with a status, as if nothing had been sent. */
function refuses(rule: string, how: string, status: number): Fault {
  return fault(rule, how, (shim) =>
    onDataComplete(shim, SEND, (lists, former) => {
      for (let list: NetBufferList | null = lists; list !== null; list = list.next) account(list, status, 0, 0);
      former(lists);
    }),
  );
}

export const OUTCOME_FAULTS: readonly Fault[] = [
  givesBack('TERM-060', RECEIVE, SUCCESS, 'gives receives back by a terminate with SUCCESS and nothing in them'),
  givesBack('RECV-064', RECEIVE, REQUEST_ABORTED, 'gives receives back by a terminate with REQUEST_ABORTED'),
  givesBack('TERM-061', DISCONNECT, REQUEST_ABORTED, 'gives a disconnect back by a terminate with REQUEST_ABORTED'),
  alias(
    'DISC-025',
    givesBack('TERM-061', DISCONNECT, REQUEST_ABORTED, 'gives a disconnect back by a terminate as if it had failed'),
  ),
  abortsSends,
  alias('SEND-022', abortsSends),
  silent('DISC-034', "says nothing of the peer's FIN", INDICATE_DISCONNECT),
  silent('DISC-038', "says nothing of the peer's RST", INDICATE_ABORT),
  alias('DISC-037', silent('DISC-038', 'keeps an RST of the peer to itself', INDICATE_ABORT)),
  keepsCalm('DISC-041', RECEIVE),
  keepsCalm('SEND-023', SEND),
  speaksOfInvalid,
  alias('EVT-009', speaksOfInvalid),
  fault(
    'FWD-021',
    'processes what is forwarded after UploadRequested',
    (shim) => {
      asksBack(shim);
      onDataComplete(shim, FORWARD, (lists, former) => {
        for (let list: NetBufferList | null = lists; list !== null; list = list.next) list.status = SUCCESS;
        former(lists);
      });
    },
    'EVT-019',
  ),
  refuses('IM-042', 'says UPLOAD_REQUESTED of the first send of a chain', UPLOAD_REQUESTED),
  refuses('SEND-006', 'completes a send with RESOURCES, for want of room', RESOURCES),
  fault('SEND-026', 'takes the MDLs off a send', (shim) =>
    onDataComplete(shim, SEND, (lists, former) => {
      if (lists.firstNetBuffer !== null) lists.firstNetBuffer.mdlChain = null;
      former(lists);
    }),
  ),
  keepsLuggage,
  alias('SEND-028', keepsLuggage),
  insideCompletion,
  worksAsleep,
  pausedSends,
  fault('NBR-009', 'asks about a neighbor that is not stale', (shim) =>
    shim.onLive(() => {
      const code = IndicateOffloadEvent.NEIGHBOR_REACHABILITY_QUERY;
      shim.above.offloadEventIndicate(shim.handle, queryBlock(shim, 0), code);
    }),
  ),
];
