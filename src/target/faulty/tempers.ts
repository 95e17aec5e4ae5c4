/**
 * What a good target may do and rarely does, done always: so that a driver above has something to do wrong.
 */

import { NdisStatus, Oid, setEveryStatus } from '../../ndis/miniport.ts';
import { copyFromNetBuffer, type NetBufferList, netBufferListOver } from '../../state/net-buffer-list.ts';
import { onStateEntry, type Shim, STATE } from './shim.ts';

const [, , UPDATE] = STATE;
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

/** By name. */
export const TEMPERS: Readonly<Record<string, (shim: Shim) => void>> = {
  pauses: says(NdisStatus.OFFLOAD_PAUSE),
  'uploads-all': says(NdisStatus.UPLOAD_ALL),
  resumes: says(NdisStatus.OFFLOAD_PAUSE, NdisStatus.OFFLOAD_RESUME),
  'lends-frames': lendsFrames,
  'slow-updates': slowUpdates,
};
