/**
 * Chimney: a user-space TCP/IP stack whose live connections can be handed to an offload target and taken back.
 */

export { SeededRandom } from './base/random.ts';
export { NEVER, type RandomSource, type Runtime, type Timer } from './base/runtime.ts';
export { type Seq, seqAdd, seqDiff } from './base/seq.ts';
export { VirtualRuntime } from './base/virtual-runtime.ts';
export { type Finding, findingText, rulesOf } from './contract/finding.ts';
export { AdapterControl, type OffloadSettings, type StackStatistics } from './host/adapter-control.ts';
export * from './host/api.ts';
export { AdapterError } from './host/oid-requests.ts';
export { Capture, type CaptureOptions, type CaptureOutput } from './im/capture.ts';
export type { ImOffloadEntry } from './im/entries.ts';
export { Filter, type FilterOptions } from './im/filter.ts';
export type { FilterAction, FilterRule, FilterRuleCount } from './im/filter-verdict.ts';
export { Impair, type ImpairOptions } from './im/impair.ts';
export {
  IntermediateDriver,
  type IntermediateEnvironment,
  type IntermediateOptions,
} from './im/intermediate-driver.ts';
export { FilterSyntaxError } from './im/match/syntax-error.ts';
export { PassThrough } from './im/pass-through.ts';
export { Team, type TeamCause, type TeamChange, type TeamOptions } from './im/team.ts';
export type { Link, LinkReceiver, Medium } from './link/link.ts';
export {
  type Impairment,
  MemoryLink,
  type MemoryLinkOptions,
  type MemoryLinkPair,
  memoryLinkPair,
} from './link/memory.ts';
export { type MemorySwitchOptions, memorySwitch } from './link/memory-switch.ts';
export { type PcapngOptions, PcapngWriter } from './link/pcapng.ts';
export { type StreamCarrier, StreamLink, type StreamLinkOptions } from './link/stream.ts';
export {
  copyOffloadHandlers,
  type MiniportDriver,
  type NdisM,
  type NdisMiniportHandle,
  providerGeneric,
  providerTcp,
  type TcpOffloadEventHandlers,
} from './ndis/miniport.ts';
export { NdisLibrary } from './ndis/ndis-library.ts';
export * from './ndis/protocol.ts';
export { SystemRuntime } from './runtime.ts';
export type { StackNet } from './socket/net.ts';
export type { BorrowingOnRead, FillingOnRead, KeptBytes, Loan } from './socket/on-read.ts';
export type { StackServer } from './socket/server.ts';
export type { StackSocket } from './socket/socket.ts';
export type { StackUdpSocket } from './socket/udp-socket.ts';
export { type ControlledTarget, createStack, type Held, Stack } from './stack.ts';
export type { CaptureFileOptions, IntermediateChoice } from './stack-drivers.ts';
export {
  type LinkChoice,
  type StackAdapter,
  type StackLink,
  StackOptionError,
  type StackOptions,
  type TargetChoice,
  type TargetEnvironment,
  type TeamLinks,
  type TeamMemberLink,
} from './stack-options.ts';
export { NetBufferList } from './state/net-buffer-list.ts';
export { type TcpCachedState, TcpConnectionState, type TcpConstState, type TcpDelegatedState } from './state/tcp.ts';
export type { TargetConnection } from './target/base/connection.ts';
export { OffloadTarget, type OffloadTargetOptions } from './target/base/offload-target.ts';
export { EngineAdapter } from './target/engine/engine-adapter.ts';
export { PlainAdapter } from './target/plain/plain-adapter.ts';
export { EVENT_TABLE, type EventName } from './trace/events.ts';
export { HandledBy, type PacketTap, Trace } from './trace/trace.ts';
export { IpAddress, parseIp } from './wire/ip-address.ts';
export { TcpFlag, type TcpSegment } from './wire/tcp-segment.ts';
