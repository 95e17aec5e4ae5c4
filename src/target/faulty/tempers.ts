/**
 * What a good target may do and rarely does, done always: so that a driver above has something to do wrong.
 */

import {
  BlockLayer,
  IndicateOffloadEvent,
  layerOf,
  NdisStatus,
  Oid,
  setEveryStatus,
  TcpDisconnectFlag,
  TcpOffloadEventType,
  TcpUploadReason,
} from '../../ndis/miniport.ts';
import { copyFromNetBuffer, type NetBufferList, netBufferListOver } from '../../state/net-buffer-list.ts';
import { queryBlock } from './events.ts';
import { account, DATA, onDataEntry, onStateEntry, type Shim, STATE, type StateNames } from './shim.ts';

const [, , UPDATE, QUERY] = STATE;
const [, , DISCONNECT] = DATA;
const SLOW_US = 1_000_000;

/** Indicates statuses as soon as the chimney is switched on. */
function says(...statusCodes: readonly number[]): (shim: Shim) => void {
  return (shim) => {
    const former = shim.below.oidRequest;
    shim.below.oidRequest = (context, request) => {
      const status = former(context, request);
      if (request.oid === Oid.TCP_TASK_OFFLOAD && request.kind === 'set') {
        shim.defer(() => {
          for (const statusCode of statusCodes) shim.above.indicateStatusEx(shim.handle, { statusCode });
        });
      }
      return status;
    };
  };
}

/** Hands frames up for keeps: in lists of their own that are to be returned. */
function lendsFrames(shim: Shim): void {
  const former = shim.above.indicateReceiveNetBufferLists;
  const lent = new Set<NetBufferList>();
  shim.above.indicateReceiveNetBufferLists = (handle, lists, portNumber, _flags) => {
    for (let list: NetBufferList | null = lists; list !== null; list = list.next) {
      const nb = list.firstNetBuffer!;
      const bytes = new Uint8Array(nb.dataLength);
      copyFromNetBuffer(nb, 0, nb.dataLength, bytes, 0);
      const copy = netBufferListOver(bytes);
      lent.add(copy);
      former(handle, copy, portNumber, 0);
    }
  };
  shim.below.returnNetBufferLists = (_context, lists) => {
    for (let list: NetBufferList | null = lists; list !== null; list = list.next) lent.delete(list);
  };
}

/** Completes updates a second later. */
function slowUpdates(shim: Shim): void {
  onStateEntry(shim, UPDATE, (root) => {
    const timer = shim.runtime.timer(() => {
      setEveryStatus(root, NdisStatus.SUCCESS);
      shim.above.updateOffloadComplete(shim.handle, root);
    });
    timer.arm(shim.runtime.nowUs() + SLOW_US);
  });
}

/** Fails graceful disconnects, as when the peer never acknowledges. */
function failsCloses(shim: Shim): void {
  onDataEntry(shim, DISCONNECT, (list, former, flags) => {
    if (flags !== TcpDisconnectFlag.GRACEFUL_CLOSE) return former();
    shim.defer(() => {
      account(list, NdisStatus.REQUEST_ABORTED, 0, 0);
      shim.above.tcpOffloadDisconnectComplete(shim.handle, list);
    });
    return NdisStatus.PENDING;
  });
}

/** Fails the first operation of a kind on a connection. */
function fails(names: StateNames): (shim: Shim) => void {
  return (shim) => {
    let isFirst = true;
    onStateEntry(shim, names, (root, former) => {
      if (!isFirst || layerOf(root.header.type) !== BlockLayer.TCP) return former();
      isFirst = false;
      shim.defer(() => {
        const connection = root.ndisOffloadHandle!;
        setEveryStatus(root, NdisStatus.FAILURE);
        shim.above[names.complete](shim.handle, root);
        // An update may fail for less.
        if (names === UPDATE) return;
        shim.event(connection, TcpOffloadEventType.INDICATE_RETRIEVE, TcpUploadReason.HARDWARE_FAILURE);
        shim.event(connection, TcpOffloadEventType.INDICATE_ABORT);
      });
    });
  };
}

/** By name. */
export const TEMPERS: Readonly<Record<string, (shim: Shim) => void>> = {
  pauses: says(NdisStatus.OFFLOAD_PAUSE),
  'uploads-all': says(NdisStatus.UPLOAD_ALL),
  resumes: says(NdisStatus.OFFLOAD_PAUSE, NdisStatus.OFFLOAD_RESUME),
  'lends-frames': lendsFrames,
  'slow-updates': slowUpdates,
  retrieves: (shim) =>
    shim.onLive((its) => shim.event(its, TcpOffloadEventType.INDICATE_RETRIEVE, TcpUploadReason.UPLOAD_REQUESTED)),
  aborts: (shim) => shim.onLive((its) => shim.event(its, TcpOffloadEventType.INDICATE_ABORT)),
  'fails-closes': failsCloses,
  'fails-updates': fails(UPDATE),
  'fails-queries': fails(QUERY),
  'tells-backlogs': (shim) =>
    shim.onLive((its) => shim.event(its, TcpOffloadEventType.INDICATE_SEND_BACKLOG_CHANGE, 1000)),
  'asks-about-neighbors': (shim) =>
    shim.onLive(() => {
      const code = IndicateOffloadEvent.NEIGHBOR_REACHABILITY_QUERY;
      shim.above.offloadEventIndicate(shim.handle, queryBlock(shim), code);
    }),
  'wants-all': (shim) =>
    shim.onLive(() =>
      shim.defer(() => shim.above.indicateStatusEx(shim.handle, { statusCode: NdisStatus.UPLOAD_ALL })),
    ),
};
