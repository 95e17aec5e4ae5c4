/** Faults of a driver between: what it changes on its way through, keeps to itself, or passes on as something else. */

import {
  forEachBlock,
  type NdisOffloadHandle,
  NdisStatus,
  type OffloadBlock,
  Oid,
  type OidRequest,
  type ProtocolOffloadBlock,
  TcpOffloadEventType,
} from '../../ndis/protocol.ts';
import { copyFromNetBuffer, dataLengthOf, type NetBufferList, netBufferListOver } from '../../state/net-buffer-list.ts';
import { entryOf } from '../entries.ts';
import { alias, type DriverFault, type DriverShim, fault, over } from './shim.ts';
import { onCall } from './state.ts';

function aboveOf(handle: NdisOffloadHandle): NdisOffloadHandle {
  return entryOf(handle).handleAbove;
}

/** A list with the same bytes. */
function copyOf(list: NetBufferList): NetBufferList {
  const bytes = new Uint8Array(dataLengthOf(list));
  let at = 0;
  for (let nb = list.firstNetBuffer; nb !== null; nb = nb.next)
    at += copyFromNetBuffer(nb, 0, nb.dataLength, bytes, at);
  return netBufferListOver(bytes);
}

/** Completes queries with something changed. */
function onQueried(
  rule: string,
  how: string,
  change: (root: ProtocolOffloadBlock, shim: DriverShim) => void,
  ...others: string[]
): DriverFault {
  return fault(
    rule,
    how,
    (shim) =>
      shim.onUp('queryOffloadStateComplete', (former) => (handle, root) => {
        change(root as ProtocolOffloadBlock, shim);
        return former(handle, root);
      }),
    ...others,
  );
}

/** Answers an OID itself, or changes the answer. */
function onOid(
  rule: string,
  how: string,
  kind: OidRequest['kind'],
  act: (request: OidRequest, former: () => number) => number,
  ...others: string[]
): DriverFault {
  return fault(
    rule,
    how,
    (shim) => {
      const { driver } = shim;
      const former = driver.oidRequest;
      driver.oidRequest = (context, request) => {
        const pass = (): number => former.call(driver, context, request);
        return request.oid === Oid.TCP_TASK_OFFLOAD && request.kind === kind ? act(request, pass) : pass();
      };
    },
    ...others,
  );
}

const usesHandleAbove = fault('IM-009', 'offloads objects by the handles of the driver above', (shim) =>
  shim.onInitiate((root, pass) => {
    forEachBlock(root, (block) => {
      if (block.offloadHandle !== null) block.offloadHandle = aboveOf(block.offloadHandle as NdisOffloadHandle);
    });
    pass(root);
  }),
);

export const PASSING_FAULTS: readonly DriverFault[] = [
  usesHandleAbove,
  alias('IM-012', usesHandleAbove),
  fault('IM-010', "shows the driver above the target's own contexts", (shim) =>
    shim.onUp('initiateOffloadComplete', (former) => (handle, root) => {
      forEachBlock(root as OffloadBlock, (block) => {
        const slot = block.ndisOffloadHandle;
        if (slot === null || slot.miniportOffloadContext === null) return;
        const entry = slot.miniportOffloadContext as { readonly handle?: NdisOffloadHandle };
        if (entry.handle !== undefined) slot.miniportOffloadContext = entry.handle.miniportOffloadContext;
      });
      return former(handle, root);
    }),
  ),
  fault(
    'IM-014',
    'passes queries on as invalidates',
    (shim) => {
      shim.ndis.queryOffloadState = (binding, root) => shim.ndis.invalidateOffload(binding, root);
    },
    'INV-003',
  ),
  fault('IM-022', 'leaves no call entry in ImReserved', (shim) =>
    onCall(shim, 'queryOffloadState', (root, former) => {
      root.imReserved[0] = null;
      former(root);
    }),
  ),
  fault('IM-023', 'passes a part of a tree on', (shim) =>
    onCall(shim, 'terminateOffload', (root, former) => former(root.dependentBlockList ?? root)),
  ),
  onQueried(
    'IM-026',
    'keeps its call entry in ImReserved',
    (root) => {
      root.imReserved[0] = 'an entry';
    },
    'TREE-037',
  ),
  onQueried(
    'IM-032',
    'leaves a SourceHandle of its own',
    (root, shim) => {
      root.sourceHandle = shim;
    },
    'TREE-038',
  ),
  fault(
    'IM-027',
    'completes updates as invalidates',
    (shim) =>
      shim.onUp('updateOffloadComplete', () => (handle, root) => {
        const up = shim.upward('invalidateOffloadComplete');
        return up(handle, root);
      }),
    'IM-031',
  ),
  onQueried('IM-030', 'says FAILURE of a query that the target has answered', (root) => {
    root.status = NdisStatus.FAILURE;
  }),
  fault('IM-033', 'passes sends on as receives', (shim) => {
    shim.ndis.offloadTcpSend = (handle, lists) => shim.ndis.offloadTcpReceive(handle, lists);
  }),
  fault('IM-035', 'sends by its handle of another connection', (shim) => {
    const former = shim.ndis.offloadTcpSend;
    shim.ndis.offloadTcpSend = (handle, lists) =>
      former(shim.connections.find((one) => one !== handle) ?? handle, lists);
  }),
  fault('IM-036', 'sends a copy of what comes from above', (shim) => {
    const former = shim.ndis.offloadTcpSend;
    shim.ndis.offloadTcpSend = (handle, lists) => former(handle, copyOf(lists));
  }),
  fault('IM-037', 'disconnects otherwise than it was told', (shim) => {
    const former = shim.ndis.offloadTcpDisconnect;
    shim.ndis.offloadTcpDisconnect = (handle, list, flags) => former(handle, list, 3 - flags);
  }),
  fault(
    'IM-039',
    'completes receives as sends on their way up',
    (shim) =>
      shim.onUp('tcpOffloadReceiveComplete', () => (handle, lists) => {
        const up = shim.upward('tcpOffloadSendComplete');
        return up(handle, lists);
      }),
    'NBL-011',
  ),
  fault(
    'IM-041',
    'keeps what is returned to the target',
    (shim) => {
      shim.ndis.offloadTcpReceiveReturn = () => NdisStatus.SUCCESS;
    },
    'RECV-077',
  ),
  fault('IM-043', 'passes sends on which it gives back for want of memory', (shim) => {
    const { driver } = shim;
    const former = driver.tcpOffloadSend;
    driver.tcpOffloadSend = (context, offloadContext, lists) => {
      const answer = former.call(driver, context, offloadContext, lists);
      lists.status = NdisStatus.REQUEST_UPLOAD;
      shim.environment.runtime.urgent(() => {
        for (let list: NetBufferList | null = lists; list !== null; list = list.next) {
          list.status = list === lists ? NdisStatus.REQUEST_UPLOAD : NdisStatus.UPLOAD_REQUESTED;
        }
        shim.events.tcpOffloadSendComplete(shim.miniportHandle, lists);
      });
      return answer;
    };
  }),
  over(
    'retrieves',
    fault('IM-049', 'passes every Retrieve on as an Abort', (shim) =>
      shim.onUp(
        'tcpOffloadEventHandler',
        (former) => (handle) => former(handle, TcpOffloadEventType.INDICATE_ABORT, 0),
      ),
    ),
  ),
  over(
    'tells-backlogs',
    fault('IM-048', 'passes events up with the handle of another connection', (shim) =>
      shim.onUp('tcpOffloadEventHandler', (former) => (handle, ...rest) => {
        const other = shim.connections.find((one) => aboveOf(one) !== handle);
        return former(other === undefined ? handle : aboveOf(other), ...rest);
      }),
    ),
  ),
  fault('IM-050', 'indicates a copy of what comes from below', (shim) =>
    shim.onUp(
      'tcpOffloadReceiveHandler',
      (former) =>
        (handle, list, ...rest) =>
          former(handle, copyOf(list as NetBufferList), ...rest),
    ),
  ),
  fault(
    'IM-051',
    'indicates with a status of its own',
    (shim) =>
      shim.onUp(
        'tcpOffloadReceiveHandler',
        (former) => (handle, list, _status, consumed) => former(handle, list, NdisStatus.RESOURCES, consumed),
      ),
    'RECV-071',
  ),
  fault('IM-052', 'tells the target that refused data was accepted', (shim) => {
    const { driver } = shim;
    const former = driver.tcpOffloadReceiveIndicate;
    driver.tcpOffloadReceiveIndicate = (handle, list, status, consumed) => {
      const answer = former.call(driver, handle, list, status, consumed);
      if (answer !== NdisStatus.OFFLOAD_DATA_NOT_ACCEPTED) return answer;
      consumed.value = dataLengthOf(list);
      return NdisStatus.SUCCESS;
    };
  }),
  over(
    'asks-about-neighbors',
    fault('IM-061', 'keeps questions about neighbors to itself', (shim) => {
      shim.driver.indicateOffloadEvent = () => {};
    }),
  ),
  onOid(
    'IM-054',
    'answers for the target what it can do',
    'query',
    (request) => {
      request.information = { chimneyTypes: [] };
      return NdisStatus.SUCCESS;
    },
    'CAP-018',
  ),
  onOid('IM-057', 'asks the target what it can do, and says that nothing is supported', 'query', (_request, pass) => {
    pass();
    return NdisStatus.NOT_SUPPORTED;
  }),
  onOid('IM-058', 'keeps the set of OID_TCP_TASK_OFFLOAD to itself', 'set', () => NdisStatus.SUCCESS),
];
