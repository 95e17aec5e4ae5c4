/**
 * A whole stack with an engine target on an Ethernet link whose other end is the test, under virtual time: what router-scene.ts and
 * ether-scene.ts have in common. Every call through the door is written down, and the target may take its time over an initiate.
 */
import { Later } from '../../src/base/later.ts';
import type { Runtime } from '../../src/base/runtime.ts';
import { VirtualRuntime } from '../../src/base/virtual-runtime.ts';
import { findingText } from '../../src/contract/finding.ts';
import type { Move, TcpEndpoint } from '../../src/host/api.ts';
import { type MiniportOffloadBlock, NdisStatus, setEveryStatus } from '../../src/ndis/miniport.ts';
import { createStack, type Stack } from '../../src/stack.ts';
import type { StackLink, StackOptions, TargetEnvironment } from '../../src/stack-options.ts';
import { EngineAdapter } from '../../src/target/engine/engine-adapter.ts';
import { type Frame, parseFrame } from '../target/support/frames.ts';
import { TestLink } from '../target/support/test-link.ts';
import { DoorLog } from './chimney-scene.ts';

export const HOST_MAC: Uint8Array = new Uint8Array([2, 0, 0, 0, 0, 1]);

export function routerMac(last: number): Uint8Array {
  return Uint8Array.of(2, 0, 0, 0, 1, last);
}

/** An engine target that takes its time before it looks at an initiate or an update, or fails the latter. */
class SlowTarget extends EngineAdapter {
  readonly #later: Later;
  readonly #runtime: Runtime;
  initiateDelayUs = 0;
  updateDelayUs = 0;
  failsUpdates = false;

  constructor(environment: TargetEnvironment) {
    super(environment);
    this.#runtime = environment.runtime;
    this.#later = new Later(environment.runtime);
  }

  override initiateOffload(context: unknown, root: MiniportOffloadBlock): void {
    this.#after(this.initiateDelayUs, () => super.initiateOffload(context, root));
  }

  override updateOffload(context: unknown, root: MiniportOffloadBlock): void {
    this.#after(Math.max(this.updateDelayUs, this.failsUpdates ? 1 : 0), () => {
      if (!this.failsUpdates) super.updateOffload(context, root);
      else {
        setEveryStatus(root, NdisStatus.FAILURE);
        this.engine.ndisM.updateOffloadComplete(this.engine.handle, root);
      }
    });
  }

  #after(delayUs: number, act: () => void): void {
    if (delayUs === 0) act();
    else this.#later.at(this.#runtime.nowUs() + delayUs, act);
  }
}

/** The stack at the one end; whoever extends it is the other. */
export abstract class WireScene {
  readonly runtime: VirtualRuntime = new VirtualRuntime(5);
  readonly link: TestLink = new TestLink('eth0', 'ethernet', 1500);
  readonly stack: Stack;
  readonly door: DoorLog = new DoorLog();
  readonly moves: Move[] = [];
  target!: SlowTarget;
  #frames: Frame[] = [];

  constructor(interfaceOptions: Omit<StackLink, 'link'>, options: Partial<StackOptions>) {
    this.stack = createStack({
      runtime: this.runtime,
      verify: true,
      ...options,
      links: [
        {
          ...interfaceOptions,
          link: this.link,
          duplicateAddressDetection: 'off',
          target: (environment) => {
            this.target = new SlowTarget(environment);
            return this.target;
          },
        },
      ],
    });
    this.stack.ndis.attachTap('eth0', this.door);
    this.stack.onMove((move) => this.moves.push(move));
  }

  /** A frame of the stack that is not TCP. */
  protected abstract answer(frame: Uint8Array): void;

  /** Lets time pass. The other end answers all the while. */
  run(us: number): void {
    for (let left = us; left > 0; left -= 1_000) {
      this.runtime.advance(Math.min(left, 1_000));
      this.look();
    }
  }

  /** Takes in what the stack has sent. */
  protected look(): void {
    for (const frame of this.link.take()) {
      const isTcp = frame[12] === 0x86 ? frame[20] === 6 : frame[12] === 0x08 && frame[13] === 0 && frame[23] === 6;
      if (isTcp) this.#frames.push(parseFrame(frame, 'ethernet'));
      else this.answer(frame);
    }
    this.runtime.settle();
  }

  /** TCP frames of the stack since the last look. */
  frames(): Frame[] {
    this.look();
    const frames = this.#frames;
    this.#frames = [];
    return frames;
  }

  /** Offloads a connection, and lets `meanwhile` happen while the target has not answered yet, which it does within `delayUs`. */
  initiateSlowly({ chimney }: Pick<TcpEndpoint, 'chimney'>, meanwhile: () => void, delayUs = 10_000): void {
    this.target.initiateDelayUs = delayUs;
    chimney.offload().catch(() => undefined);
    this.run(1_000);
    const expectOnItsWay = (): void => {
      if (chimney.location !== 'initiating')
        throw new Error(`expected a connection on its way, not ${chimney.location}`);
    };
    expectOnItsWay();
    meanwhile();
    expectOnItsWay();
    this.run(delayUs + 10_000);
    this.target.initiateDelayUs = 0;
  }

  /** What the verifiers have found. */
  get findings(): string[] {
    return this.stack.findings.map(findingText);
  }
}
