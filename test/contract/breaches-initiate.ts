/** Breaches of the rules about what an initiate conveys and answers, one each. */

import { asSeq } from '../../src/base/seq.ts';
import { NdisOffloadHandle, type OffloadBlock } from '../../src/ndis/offload-block.ts';
import { NdisStatus, OffloadStateType } from '../../src/ndis/status.ts';
import { StateOperation } from '../../src/ndis/tap.ts';
import { NetBuffer } from '../../src/state/net-buffer-list.ts';
import { TcpConnectionState, type TcpDelegatedState } from '../../src/state/tcp.ts';
import { chainOf, data, hang, neighborBlock, reference, tcpBlock } from '../ndis/fakes.ts';
import { type Breach, breach, each, freshTree, placeholder } from './scene.ts';

const { INITIATE } = StateOperation;
const { SUCCESS, FAILURE, RESOURCES, OFFLOAD_PARTIAL_SUCCESS: PARTIAL, REQUEST_ABORTED } = NdisStatus;

const handle = (): NdisOffloadHandle => new NdisOffloadHandle('x');

/** An initiate whose connection is wrong, refused by the target. */
function connection(rule: string, how: string, change: (tcp: OffloadBlock, state: TcpDelegatedState) => void): Breach {
  return breach(rule, how, (s) => {
    s.bind();
    const tcp = tcpBlock(handle());
    change(tcp, tcp.delegatedState as TcpDelegatedState);
    s.initiateAs(tcp, [FAILURE]);
  });
}

/** Sends on a connection to be offloaded, rightly described. */
function withSends(tcp: OffloadBlock, state: TcpDelegatedState): void {
  const lists = [data(3), data(4)];
  tcp.netBufferListChain = chainOf(lists);
  state.sendDataHead = lists[0]!;
  state.sendDataTail = lists[1]!;
}

/** A code that belongs to another layer: first the layer's block that wrongly reports it. */
function misplaced(rule: string, code: number, isNeighbor: boolean): Breach {
  return breach(rule, 'a specific code on a block of another layer', (s) => {
    s.bind();
    s.initiateAs(isNeighbor ? neighborBlock(handle()) : tcpBlock(handle()), [code]);
  });
}

function answered(rule: string, how: string, root: () => OffloadBlock, statuses: number[], slots?: boolean[]): Breach {
  return breach(rule, how, (s) => {
    s.bind();
    s.initiateAs(root(), statuses, slots);
  });
}

function linked(rule: string, how: string, statuses: number[]): Breach {
  return breach(rule, how, (s) => {
    s.offload();
    const linker = reference(s.handles.path, OffloadStateType.IP4);
    s.initiateAs(hang(linker, tcpBlock(handle(), 1), tcpBlock(handle(), 2)), statuses);
  });
}

export const INITIATE_BREACHES: readonly Breach[] = [
  connection('INIT-072', 'a connection in TIME-WAIT', (_tcp, state) => {
    state.state = TcpConnectionState.TIME_WAIT;
  }),
  connection('INIT-066', 'an offloaded send list of two buffers', (tcp, state) => {
    withSends(tcp, state);
    tcp.netBufferListChain!.firstNetBuffer!.next = new NetBuffer(null, 0);
  }),
  connection('INIT-067', 'a SendDataTail outside the chain', (tcp, state) => {
    withSends(tcp, state);
    state.sendDataTail = data(1);
  }),
  connection('INIT-071', 'SndNxt before SndUna', (tcp, state) => {
    withSends(tcp, state);
    state.sndUna = asSeq(10);
    state.sndNxt = asSeq(5);
  }),
  misplaced('INIT-015', NdisStatus.OFFLOAD_TCP_ENTRIES, true),
  misplaced('INIT-016', NdisStatus.OFFLOAD_PATH_ENTRIES, true),
  misplaced('INIT-017', NdisStatus.OFFLOAD_NEIGHBOR_ENTRIES, false),
  misplaced('INIT-018', NdisStatus.OFFLOAD_HW_ADDRESS_ENTRIES, false),
  misplaced('INIT-019', NdisStatus.OFFLOAD_IP_ADDRESS_ENTRIES, true),
  misplaced('INIT-020', NdisStatus.OFFLOAD_TCP_XMIT_BUFFER, true),
  misplaced('INIT-021', NdisStatus.OFFLOAD_TCP_RCV_BUFFER, true),
  misplaced('INIT-022', NdisStatus.OFFLOAD_TCP_RCV_WINDOW, true),
  misplaced('INIT-023', NdisStatus.OFFLOAD_PATH_MTU, true),
  misplaced('INIT-024', NdisStatus.OFFLOAD_CONNECTION_REJECTED, true),
  misplaced('INIT-013', REQUEST_ABORTED, true),
  answered('INIT-008', 'SUCCESS over a lost dependent', () => freshTree(1), [SUCCESS, FAILURE, FAILURE]),
  answered('INIT-010', 'PARTIAL over nothing lost', () => freshTree(1), [PARTIAL, SUCCESS, SUCCESS]),
  answered('INIT-011', 'PARTIAL over a dependent that is PARTIAL', () => freshTree(1), [PARTIAL, PARTIAL, FAILURE]),
  answered(
    'INIT-012',
    'a failure though its own state was taken',
    () => freshTree(1),
    [PARTIAL, FAILURE, RESOURCES],
    [true, true],
  ),
  answered('INIT-027', 'an attempt below a path that failed', () => freshTree(1), [PARTIAL, RESOURCES, RESOURCES]),
  answered('INIT-035', 'SUCCESS without a PVOID', () => neighborBlock(handle()), [SUCCESS], [false]),
  answered('INIT-036', 'a PVOID for what was not taken', () => neighborBlock(handle()), [RESOURCES], [true]),
  answered('INIT-084', 'a placeholder that reports a failure', () => placeholder(freshTree(1).dependentBlockList!), [
    PARTIAL,
    FAILURE,
    FAILURE,
  ]),
  answered('INIT-085', 'a lone placeholder that reports a failure', () => placeholder(), [FAILURE]),
  linked('INIT-081', 'a linker PARTIAL over nothing lost', [PARTIAL, SUCCESS, SUCCESS]),
  linked('INIT-082', 'a linker SUCCESS over something lost', [SUCCESS, SUCCESS, RESOURCES]),
  linked('INIT-083', 'a linker PARTIAL over everything lost', [PARTIAL, RESOURCES, RESOURCES]),
  breach('INIT-032', 'a status in a send list of a connection that was not taken', (s) => {
    s.bind();
    const tcp = tcpBlock(handle());
    withSends(tcp, tcp.delegatedState as TcpDelegatedState);
    s.initiate(tcp);
    const taken = s.target.take(INITIATE);
    each(taken, (block) => {
      block.status = RESOURCES;
    });
    tcp.netBufferListChain!.status = NdisStatus.UPLOAD_IN_PROGRESS;
    s.target.handBack(INITIATE, taken);
  }),
  breach('INIT-033', 'a send completion for a connection that was not taken', (s) => {
    s.offload();
    const tcp = tcpBlock(handle(), 90);
    withSends(tcp, tcp.delegatedState as TcpDelegatedState);
    s.initiateAs(tcp, [RESOURCES]);
    s.target.completeSend(tcp.netBufferListChain!, NdisStatus.UPLOAD_IN_PROGRESS, 0);
  }),
];
