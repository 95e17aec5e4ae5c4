/**
 * Source mutants: small changes that break a rule which is tested and cannot be broken at a door, some for every area.
 *
 * Each names the rule, the file, a text that stands there once, and what takes its place. The tests that must notice are those
 * that cite the rule, unless others are named. A citation that survives its mutant does not exercise what it cites.
 */

import { DATA_MUTANTS as MORE_OF_DATA } from './data-mutants.ts';
import { LAYER_MUTANTS } from './layer-mutants.ts';
import type { Mutant } from './mutant.ts';
import { STATE_MUTANTS as MORE_OF_STATE } from './state-mutants.ts';
import { TCP_MUTANTS } from './tcp-mutants.ts';

export type { Mutant } from './mutant.ts';

const ENGINE = 'src/target/engine';

function mutant(rule: string, file: string, from: string, to: string, ...tests: string[]): Mutant {
  return { rule, file, from, to, ...(tests.length === 0 ? {} : { tests }) };
}

/** A change in a file of the engine target. */
function engine(rule: string, file: string, from: string, to: string, ...tests: string[]): Mutant {
  return mutant(rule, `${ENGINE}/${file}.ts`, from, to, ...tests);
}

const STATE_MUTANTS: readonly Mutant[] = [
  engine('INIT-072', 'take-connection', ' && state <= TcpConnectionState.LAST_ACK;', ';'),
  mutant('INIT-083', 'src/ndis/initiate-status.ts', 'kind === BlockKind.LINKER && taken === 0', 'false'),
  engine('INIT-029', 'take-tree', 'if (block === root || (walk', 'if ((walk'),
  engine('INIT-016', 'take-object', 'engine.paths.size >= engine.capacity.pathEntries', 'false'),
  engine('TERM-033', 'terminate', '  completeDisconnect(engine, ctx, NdisStatus.UPLOAD_IN_PROGRESS);\n', ''),
  engine('TERM-019', 'terminate', 'if (!ctx.isCorruptionTold) return NdisStatus.FAILURE;', ''),
  mutant(
    'TERM-080',
    'src/tcp/transfer.ts',
    'if (isSynchronized(c.state)) armDeadline(c, Moment.SWS, nowUs, p.swsUs);',
    '',
  ),
  mutant(
    'UPD-020',
    'src/tcp/transfer.ts',
    '    c.moments[c.momentBase + Moment.RETRANSMIT_SINCE] = nowUs;\n  }\n  const isSwitched',
    '  }\n  const isSwitched',
  ),
  mutant('UPD-016', 'src/tcp/transfer.ts', 'c.receiveSpace + c.initialRcvWnd - before', 'c.receiveSpace'),
  engine('UPD-027', 'update', '  path.neighbor = neighbor;\n', ''),
  engine('QRY-013', 'query', 'if (context instanceof TcpContext && context.isCorrupt) corrupt.push(context);', ''),
  engine('QRY-022', 'query', 'delegated.receiveBacklogSize = ctx.buffered.length;', ''),
  engine('QRY-020', 'query', 'delegated.sendBacklogSize = optimalBacklog(ctx);', ''),
  engine('INV-006', 'contexts', 'this.isInvalid || path.isInvalid', 'path.isInvalid'),
  engine('INV-020', 'invalidate', '      corrupt.push(context);\n', ''),
  engine('INV-008', 'invalidate', 'ctx = ctx.nextOfPath) affected.push(ctx);', 'ctx = ctx.nextOfPath);'),
  mutant(
    'TREE-023',
    'src/ndis/walk.ts',
    'if (type >= OffloadStateType.TCP_CONST && type <= OffloadStateType.TCP)',
    'if (type >= OffloadStateType.TCP_CONST)',
  ),
  mutant('TREE-034', 'src/ndis/offload-block.ts', 'block.header.revision === OFFLOAD_BLOCK_REVISION_1', 'true'),
  mutant(
    'TREE-021',
    'src/ndis/walk.ts',
    'hasState ? BlockKind.NEW_OFFLOAD : BlockKind.LINKER',
    'BlockKind.NEW_OFFLOAD',
  ),
  mutant(
    'CTX-015',
    'src/ndis/faces.ts',
    'if (block.offloadHandle !== null) block.offloadHandle.miniportOffloadContext = null;',
    '',
  ),
  mutant(
    'CTX-013',
    'src/ndis/faces.ts',
    '    block.ndisOffloadHandle = handle;\n',
    '',
    'test/ndis/ndis-library.test.ts',
  ),
  mutant(
    'CTX-009',
    'src/ndis/upper-functions.ts',
    'const context = handle.miniportOffloadContext;',
    'const context = handle.owner;',
    'test/ndis/ndis-library.test.ts',
  ),
  mutant('STATE-024', 'src/tcp/transfer.ts', '    c.sndWindScale = 0;\n', ''),
  mutant(
    'STATE-069',
    'src/tcp/transfer.ts',
    'Math.ceil((atUs - nowUs) / tickUs(p))',
    'Math.floor((atUs - nowUs) / tickUs(p))',
  ),
  engine(
    'STATE-015',
    'take-object',
    'context.destination[i] = cached.dlDestinationAddress[i]!',
    'context.destination[i] = 0',
  ),
  engine('STATE-012', 'receive-path', 'if (equalMac(bytes, frameAt, neighbor.source, 0)) return true;', 'return true;'),
];

const DATA_MUTANTS: readonly Mutant[] = [
  engine(
    'SEND-017',
    'sends',
    'if (done !== null) complete(engine, done, NdisStatus.SUCCESS);',
    'if (done !== null) complete(engine, done, NdisStatus.UPLOAD_IN_PROGRESS);',
  ),
  engine('SEND-040', 'transmit', 'engine.ipId === 0xffff ? 0x8000', 'engine.ipId === 0xffff ? 0'),
  mutant('SEND-014', 'src/tcp/send-text.ts', 'c.sendQueue.endOfListAfter(offset - 1) === offset', 'false'),
  engine(
    'RECV-049',
    'delivery',
    'if (isPush) finishRequest(ctx, NdisStatus.SUCCESS);\n  else startPushTimer',
    'startPushTimer',
  ),
  engine(
    'RECV-045',
    'delivery',
    '  finishRequest(ctx, NdisStatus.SUCCESS);\n  engine.mark(ctx, Due.DELIVER);',
    '  engine.mark(ctx, Due.DELIVER);',
  ),
  engine('RECV-040', 'delivery', 'if (ctx.isRefused || ctx.isRestHeld', 'if (ctx.isRestHeld'),
  mutant('RECV-086', 'src/ndis/adapter.ts', 'this.chimneyLists === 0 && ', ''),
  engine('DISC-035', 'delivery', ' || ctx.buffered.length > 0 || ctx.firstDone !== null) return;', ') return;'),
  engine(
    'DISC-011',
    'sends',
    '  ctx.standing = Standing.ABORTED;\n  engine.markSoon(ctx, Due.HOST_ABORT);',
    '  engine.markSoon(ctx, Due.HOST_ABORT);',
  ),
  engine(
    'DISC-030',
    'sends',
    'const done = withoutDisconnect(ctx, queue.takeCompleted());',
    'const done = queue.takeCompleted();',
    'test/target/sends.test.ts',
    'test/target/terminate.test.ts',
  ),
  engine('FWD-017', 'forward', '  engine.markSoon(ctx, Due.FORWARD);\n', ''),
  engine('FWD-019', 'forward', 'if (ctx.standing === Standing.ABORTED) return NdisStatus.REQUEST_ABORTED;', ''),
  engine(
    'FWD-016',
    'forward',
    '(effects & Effect.URGENT) !== 0 ? NdisStatus.UPLOAD_IN_PROGRESS : NdisStatus.SUCCESS',
    'NdisStatus.PAUSED',
  ),
  engine('EVT-025', 'events', '  if (nowUs - ctx.backlogAtUs < BACKLOG_INTERVAL_US) return;\n', ''),
  engine('EVT-035', 'turn', '  else if (engine.isPaused) {', '  else if (engine.isPaused && engine.isUploadingAll) {'),
  engine(
    'EVT-044',
    'turn',
    'if (engine.isUploadingAll) refuseInitiate(engine, root);',
    'if (engine.isUploadingAll) initiate(engine, root);',
  ),
  engine('EVT-023', 'events', '    state === TcpConnectionState.FIN_WAIT1 ||\n', ''),
  engine(
    'NBL-005',
    'receive-pool',
    ' || !list.isOut) return false;',
    ') return false;',
    'test/target/delivery.test.ts',
    'test/target/adapter.test.ts',
    'test/target/receive-path.test.ts',
  ),
  engine('NBL-017', 'requests', '  advanceNetBufferDataStart(nb, placed);\n', '', 'test/target/delivery.test.ts'),
  engine(
    'NBL-016',
    'requests',
    'list.tcpOffloadBytesTransferred = placed;',
    'list.tcpOffloadBytesTransferred = 0;',
    'test/target/delivery.test.ts',
  ),
];

const REST_MUTANTS: readonly Mutant[] = [
  mutant('IM-026', 'src/im/entries.ts', '    root.sourceHandle = this.#sourceHandle;\n', ''),
  mutant(
    'IM-057',
    'src/im/intermediate-driver.ts',
    'if (isCapabilityQuery && !this.#allowOffload) return NdisStatus.NOT_SUPPORTED;',
    '',
  ),
  mutant('IM-010', 'src/im/block-lists.ts', 'else entry.handleAbove.miniportOffloadContext = entry;', ''),
  mutant(
    'IM-042',
    'src/im/intermediate-driver.ts',
    'list === lists ? NdisStatus.REQUEST_UPLOAD : NdisStatus.UPLOAD_REQUESTED',
    'NdisStatus.UPLOAD_REQUESTED',
  ),
  mutant(
    'TCP-097',
    'src/tcp/acceptability.ts',
    '  if (c.hasMode(TcpMode.RST_CHALLENGED)) return Effect.DROPPED;\n',
    '',
  ),
  mutant('TCP-061', 'src/tcp/timestamps.ts', '(clockTicks(p, nowUs) + c.tsDelta) | 0', 'clockTicks(p, nowUs)'),
  mutant(
    'TCP-041',
    'src/tcp/on-deadline.ts',
    '  c.setMode(TcpMode.PROBE_DUE);\n  armDeadline(c, Moment.RETRANSMIT, nowUs, shiftedRtoUs(c, p, c.retransmitCount));',
    '  c.setMode(TcpMode.PROBE_DUE);\n  armDeadline(c, Moment.RETRANSMIT, nowUs, shiftedRtoUs(c, p, 0));',
  ),
  mutant(
    'TCP-025',
    'src/tcp/on-deadline.ts',
    '    enterClosed(c, p);\n    return Effect.TIMED_OUT;\n  }\n  if (state === State.SYN_SENT',
    '    return Effect.TIMED_OUT;\n  }\n  if (state === State.SYN_SENT',
  ),
  engine(
    'NBR-001',
    'neighbors',
    'neighbor.hrtUs = nowUs - (hrd >>> 0) * usPerTick(engine.tunables);',
    'neighbor.hrtUs = nowUs;',
  ),
  engine(
    'NBR-009',
    'neighbors',
    'return nowUs - neighbor.nrtUs > limitUs && nowUs - neighbor.hrtUs > limitUs;',
    'return nowUs - neighbor.nrtUs > limitUs;',
  ),
  engine(
    'NBR-020',
    'neighbors',
    '  setHostReachability(engine, neighbor, cached.hostReachabilityDelta, nowUs);\n}',
    '}',
  ),
  mutant('NBR-024', 'src/host/chimney/operations.ts', 'if (nrd < indicated) entry', 'if (true) entry'),
  engine(
    'STAT-018',
    'engine',
    'state === TcpConnectionState.ESTABLISHED || state === TcpConnectionState.CLOSE_WAIT',
    'state === TcpConnectionState.ESTABLISHED',
  ),
  engine('STAT-019', 'segment', 'engine.statistics(ctx.path.family).resetEstablished++;', ''),
  mutant(
    'STAT-018',
    'src/ndis/offload-statistics.ts',
    'currentlyEstablished: established,',
    'currentlyEstablished: 0,',
  ),
  mutant(
    'STAT-019',
    'src/ndis/offload-statistics.ts',
    'resetEstablished: this.resetEstablished >>> 0,',
    'resetEstablished: 0,',
  ),
  engine('CAP-024', 'tunables', '    header.revision === TCP_CONNECTION_OFFLOAD_PARAMETERS_REVISION_1 &&\n', ''),
  engine('CAP-019', 'capacity', 'maxPathMtu: capacity.maxPathMtu,', 'maxPathMtu: 65_535,'),
  engine(
    'PWR-002',
    'oids',
    '  engine.pendingPower = request;\n  return NdisStatus.PENDING;',
    '  return NdisStatus.SUCCESS;',
  ),
  engine('PWR-004', 'oids', '  engine.ndisM.oidRequestComplete(engine.handle, request, NdisStatus.SUCCESS);\n', ''),
  engine('VLAN-018', 'receive-path', '(!frame.tagged || frame.vlanId !== neighbor.vlanId)', '!frame.tagged'),
  engine('VLAN-003', 'transmit', 'engine.supports8021p && allowsTags(engine) ? ', 'allowsTags(engine) ? '),
  engine(
    'VLAN-008',
    'take-object',
    'if (engine.vlanIds.length > 0 && !engine.vlanIds.includes(vlanId)) return NdisStatus.OFFLOAD_VLAN_MISMATCH;',
    '',
  ),
  mutant(
    'VLAN-004',
    'src/host/chimney/tree.ts',
    'constant.vlanId = Math.max(0, neighbor.adapter.iface.vlanTci);',
    'constant.vlanId = 0;',
  ),
];

/** All of them. */
export const MUTANTS: readonly Mutant[] = [
  ...STATE_MUTANTS,
  ...MORE_OF_STATE,
  ...DATA_MUTANTS,
  ...MORE_OF_DATA,
  ...TCP_MUTANTS,
  ...REST_MUTANTS,
  ...LAYER_MUTANTS,
];

/** 'INIT' of 'INIT-001'. */
export function areaOf(rule: string): string {
  return rule.slice(0, rule.indexOf('-'));
}
