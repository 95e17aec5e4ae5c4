/**
 * An intermediate driver of one's own: `chimney verify ./my-driver.js` examines it.
 *
 * A target has room for so many connections. This driver looks now and then which of those that are offloaded past it carry nothing, and
 * suggests to the host to take them back (a discretionary reason: the host may decline). What it does not override passes unchanged.
 */
import {
  BlockLayer,
  type BytesConsumed,
  forEachBlock,
  type ImOffloadEntry,
  type IntermediateEnvironment,
  layerOf,
  type NdisOffloadHandle,
  type NetBufferList,
  type OffloadBlock,
  PassThrough,
  TcpConnectionState,
  type TcpDelegatedState,
  TcpOffloadEventType,
  TcpUploadReason,
  type Timer,
} from 'chimney';

/** What is known of a connection, beside the entry that the base keeps of it. */
interface Account {
  isBusy: boolean;
  isAskedBack: boolean;
}

export class IdleSweeper extends PassThrough {
  readonly #periodUs: number;
  readonly #timer: Timer;
  readonly #accounts: Map<ImOffloadEntry, Account> = new Map();
  /** Connections that were suggested to the host. */
  suggested = 0;

  constructor(environment: IntermediateEnvironment, adapterBelow: string, name: string, periodUs: number) {
    super(environment, adapterBelow, { name });
    this.#periodUs = periodUs;
    this.#timer = environment.runtime.timer(() => this.#sweep());
  }

  /** An initiate is about to be completed above: the slot of each connection that was taken names our entry. */
  protected override initiateCompleting(root: OffloadBlock): void {
    forEachBlock(root, (block) => {
      const entry = block.miniportOffloadContext?.miniportOffloadContext as ImOffloadEntry | null | undefined;
      if (entry == null || block.constState === null || layerOf(block.header.type) !== BlockLayer.TCP) return;
      // One of which a side has closed already is not asked for (EVT-023).
      const { state } = block.delegatedState as TcpDelegatedState;
      if (state !== TcpConnectionState.ESTABLISHED) return;
      this.#accounts.set(entry, { isBusy: true, isAskedBack: false });
      if (this.#accounts.size === 1) this.#timer.arm(this.runtime.nowUs() + this.#periodUs);
    });
  }

  /** A terminate is about to be completed above; the slots still name our entries. */
  protected override terminateCompleting(root: OffloadBlock): void {
    forEachBlock(root, (block) => {
      const entry = block.miniportOffloadContext?.miniportOffloadContext as ImOffloadEntry | null | undefined;
      if (entry != null && block.status === 0) this.#accounts.delete(entry);
    });
    if (this.#accounts.size === 0) this.#timer.disarm();
  }

  /** MiniportTcpOffloadSend: the context is our entry of the connection. */
  override tcpOffloadSend(context: unknown, offloadContext: unknown, lists: NetBufferList): number {
    this.#isUsed(offloadContext as ImOffloadEntry);
    return super.tcpOffloadSend(context, offloadContext, lists);
  }

  /** ProtocolTcpOffloadReceiveIndicate: the target names the connection by our handle; our entry is behind it. */
  override tcpOffloadReceiveIndicate(
    offloadContext: NdisOffloadHandle,
    list: NetBufferList,
    status: number,
    bytesConsumed: BytesConsumed,
  ): number {
    this.#isUsed(offloadContext.owner as ImOffloadEntry);
    return super.tcpOffloadReceiveIndicate(offloadContext, list, status, bytesConsumed);
  }

  /** MiniportTcpOffloadDisconnect: nor is one that is being closed. */
  override tcpOffloadDisconnect(context: unknown, offloadContext: unknown, list: NetBufferList, flags: number): number {
    this.#accounts.delete(offloadContext as ImOffloadEntry);
    return super.tcpOffloadDisconnect(context, offloadContext, list, flags);
  }

  /** ProtocolTcpOffloadEvent: nor is one that the peer has closed, or that the target wants to be rid of. */
  override tcpOffloadEvent(offloadContext: NdisOffloadHandle, eventType: number, information: number): void {
    const { INDICATE_SEND_BACKLOG_CHANGE } = TcpOffloadEventType;
    if (eventType !== INDICATE_SEND_BACKLOG_CHANGE) this.#accounts.delete(offloadContext.owner as ImOffloadEntry);
    super.tcpOffloadEvent(offloadContext, eventType, information);
  }

  #isUsed(entry: ImOffloadEntry): void {
    const account = this.#accounts.get(entry);
    if (account !== undefined) account.isBusy = true;
  }

  #sweep(): void {
    const { INDICATE_RETRIEVE } = TcpOffloadEventType;
    for (const [entry, account] of this.#accounts) {
      if (!account.isBusy && !account.isAskedBack) {
        account.isAskedBack = true;
        this.suggested++;
        this.events.tcpOffloadEventHandler(entry.handleAbove, INDICATE_RETRIEVE, TcpUploadReason.LOW_ACTIVITY);
      }
      account.isBusy = false;
    }
    if (this.#accounts.size > 0) this.#timer.arm(this.runtime.nowUs() + this.#periodUs);
  }
}

/** What `chimney verify` and `intermediates` of `createStack` take. */
export const driver = (environment: IntermediateEnvironment, adapterBelow: string, name: string): IdleSweeper =>
  new IdleSweeper(environment, adapterBelow, name, 5000);
