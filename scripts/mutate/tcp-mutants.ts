/** Mutants of the TCP engine at a target: timers, probes, timestamps, the defence against blind resets. */
import { type Mutant, mutantsIn } from './mutant.ts';

export const TCP_MUTANTS: readonly Mutant[] = [
  ...mutantsIn('src/tcp/acceptability.ts', [
    ['TCP-094', 'p.synChallengeIntervalUs', '0'],
    [
      'TCP-099',
      '  startDefence(c, p, nowUs);\n  if (c.hasMode(TcpMode.RST_CHALLENGED))',
      '  if (c.hasMode(TcpMode.RST_CHALLENGED))',
    ],
    [
      'TCP-095',
      '  if (!isInWindow(c, seg)) return onOutOfWindow(c, p, seg, nowUs);\n  if ((flags & TcpFlag.RST) !== 0)',
      '  if ((flags & TcpFlag.RST) !== 0)',
    ],
    ['TCP-096', '  if (seg.seq === c.rcvNxt) {\n    const state', '  if (true) {\n    const state'],
    ['TCP-090', 'if (seq === c.rcvNxt) {', 'if (false) {'],
  ]),
  ...mutantsIn('src/tcp/keep-alive.ts', [
    ['TCP-033', 'c.kaTimeout === 0 ? p.keepAliveIdleUs : c.kaTimeout * tickUs(p)', 'p.keepAliveIdleUs'],
    ['STATE-038', 'c.kaTimeout === 0 ? p.keepAliveIdleUs : c.kaTimeout * tickUs(p)', 'p.keepAliveIdleUs'],
    ['STATE-039', 'c.kaInterval === 0 ? defaultUs : c.kaInterval * tickUs(p)', 'defaultUs'],
    ['STATE-037', 'c.kaProbeCount !== 0 ? c.kaProbeCount : isDefence', 'isDefence'],
    ['STATE-030', 'return (c.cachedFlags & TcpCachedFlag.KEEP_ALIVE_ENABLED) !== 0;', 'return true;'],
    ['TCP-098', 'c.clearMode(TcpMode.DEFENCE | TcpMode.RST_CHALLENGED);', ''],
    [
      'TCP-106',
      '  c.keepAliveProbeCount = 0;\n  armKeepAlive(c, p, nowUs);\n}\n\n/** A suspicious',
      '}\n\n/** A suspicious',
    ],
    ['TCP-100', 'if (c.moments[c.momentBase + Moment.KEEP_ALIVE]! <= nowUs + p.defenceKeepAliveUs) return;', ''],
    ['TCP-102', 'const DEFENCE_PROBES = 10;', 'const DEFENCE_PROBES = 5;'],
    ['TCP-034', '  c.keepAliveProbeCount++;\n', ''],
  ]),
  ...mutantsIn('src/tcp/on-deadline.ts', [
    ['TCP-056', '    c.setMode(TcpMode.SWS_OVERRIDE);\n', ''],
    ['STATE-040', 'c.maxRt * tickUs(p)', 'Number.POSITIVE_INFINITY'],
    ['STATE-041', 'if (c.maxRt !== 0) return isPatienceOver(c, p, nowUs);', ''],
    ['STATE-042', 'return c.retransmitCount >= p.maximumRetransmissions;', 'return false;'],
    ['STATE-043', 'c.maxRt === 0 || c.maxRt === MAX_RT_NO_LIMIT', 'c.maxRt === 0'],
    [
      'TCP-011',
      'return c.retransmitCount >= p.maximumRetransmissions;',
      'return c.retransmitCount > p.maximumRetransmissions;',
    ],
    ['CAP-029', 'return c.retransmitCount >= p.maximumRetransmissions;', 'return c.retransmitCount >= 5;'],
    [
      'TCP-010',
      '  backOff(c);\n  countUp(c);\n  armDeadline(c, Moment.RETRANSMIT, nowUs, rtoUs(c, p));\n  // RFC',
      '  countUp(c);\n  armDeadline(c, Moment.RETRANSMIT, nowUs, rtoUs(c, p));\n  // RFC',
    ],
    ['TCP-040', 'c.setMode(TcpMode.PROBE_DUE);', ''],
    [
      'CAP-030',
      'return c.retransmitCount === p.doubtRetransmissions ? Effect.TRANSMIT | Effect.PATH_IN_DOUBT : Effect.TRANSMIT;\n}\n\n/** TCP-040',
      'return Effect.TRANSMIT;\n}\n\n/** TCP-040',
    ],
  ]),
  ...mutantsIn('src/tcp/send-window.ts', [
    ['TCP-039', 'armDeadline(c, Moment.RETRANSMIT, nowUs, shiftedRtoUs(c, p, 0));', ''],
    ['TCP-042', 'if (c.sndWndProbeCount < COUNT_MAX) c.sndWndProbeCount++;', ''],
    ['STATE-064', 'if (c.sndWndProbeCount < COUNT_MAX) c.sndWndProbeCount++;', ''],
    ['TCP-043', 'shiftedRtoUs(c, p, c.sndWndProbeCount)', 'shiftedRtoUs(c, p, 0)'],
    ['STATE-055', 'if (c.sndWnd > c.maxSndWnd) c.maxSndWnd = c.sndWnd;', ''],
    ['STATE-056', '  c.sndWl1 = seg.seq;\n', ''],
    ['STATE-026', 'c.sndWnd = seg.window << c.sndWindScale;', 'c.sndWnd = seg.window;'],
  ]),
  ...mutantsIn('src/tcp/timestamps.ts', [
    ['TCP-065', '(clockTicks(p, nowUs) + c.tsDelta) | 0', 'clockTicks(p, nowUs) + 1'],
    ['STATE-022', 'if (((seg.tsVal - c.tsRecent) | 0) >= 0) return false;', 'return true;', 'test/tcp'],
  ]),
  ...mutantsIn('src/tcp/header.ts', [
    ['STATE-022', 'out.hasTimestamps = c.hasOption(TcpConstFlag.TIMESTAMP_ENABLED);', 'out.hasTimestamps = false;'],
  ]),
  ...mutantsIn('src/tcp/on-segment.ts', [
    ['TCP-024', 'armDeadline(c, Moment.RETRANSMIT, nowUs, p.finWait2Us);', ''],
    ['TCP-079', 'if ((seg.flags & TcpFlag.URG) === 0) return false;', 'return false;'],
    ['TCP-086', 'bytes > 0 && c.hasMode(TcpMode.URGENT)', 'false && c.hasMode(TcpMode.URGENT)'],
  ]),
  ...mutantsIn('src/tcp/icmp.ts', [['STATE-027', 'Math.min(c.remoteMss === 0 ? fits : c.remoteMss, fits)', 'fits']]),
  ...mutantsIn('src/tcp/ack.ts', [['TCP-022', 'armDeadline(c, Moment.RETRANSMIT, nowUs, p.finWait2Us);', '']]),
  ...mutantsIn('src/tcp/lifecycle.ts', [
    [
      'TCP-012',
      "if (p.role === 'target') {\n    c.setMode(TcpMode.EXPIRED);",
      'if (false) {\n    c.setMode(TcpMode.EXPIRED);',
    ],
    ['TCP-045', 'c.setMode(TcpMode.EXPIRED);', ''],
  ]),
  ...mutantsIn('src/tcp/transfer.ts', [
    ['TCP-007', '  c.ackPending = 0;\n', ''],
    ['TCP-070', 'c.tsDelta = (words[base + TcpWord.TS_TIME]! - clockTicks(p, nowUs)) | 0;', 'c.tsDelta = 0;'],
    ['TCP-105', 'if (!isKeepAliveEnabled(c)) c.setMode(TcpMode.DEFENCE);', ''],
  ]),
  ...mutantsIn('src/tcp/send-text.ts', [
    [
      'STATE-031',
      'TcpCachedFlag.NAGLING_ENABLED',
      'TcpCachedFlag.KEEP_ALIVE_ENABLED',
      'test/target/state-variables.test.ts',
      'test/tcp/scripts/send.test.ts',
    ],
  ]),
  ...mutantsIn('src/target/engine/tunables.ts', [
    ['CAP-026', 'p.ticksPerSecond = tunables.ticksPerSecond;', ''],
    ['CAP-027', 'p.ackFrequency = tunables.tcpAckFrequency;', ''],
    ['CAP-028', 'p.delayedAckUs = tunables.tcpDelayedAckTicks * tick;', ''],
    ['CAP-029', 'p.maximumRetransmissions = tunables.tcpMaximumRetransmissions;', ''],
    ['CAP-030', 'p.doubtRetransmissions = tunables.tcpDoubtReachabilityRetransmissions;', ''],
    ['CAP-031', 'p.swsUs = tunables.tcpSwsPreventionTicks * tick;', ''],
    ['CAP-032', 'p.duplicateAckThreshold = tunables.tcpDuplicateAckThreshold;', ''],
    ['STATE-077', 'return 1_000_000 / parameters.ticksPerSecond;', 'return 1000;'],
    ['STATE-078', 'p.ticksPerSecond = tunables.ticksPerSecond;', 'p.ticksPerSecond = 1000;'],
  ]),
];
