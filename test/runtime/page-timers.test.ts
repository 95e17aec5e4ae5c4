/** The timers of a page: no task of the runtime's runs as a task of a timer, so that none of its timers counts as nested. */
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { systemPlatform } from '../../src/runtime.ts';

interface Timeout {
  readonly task: () => void;
  readonly ms: number;
  isCleared: boolean;
}

/** A page's globals: no setImmediate, timers and messages that the test lets through. */
describe('where there is no setImmediate', () => {
  let timeouts: Timeout[] = [];
  let messages: (() => void)[] = [];

  beforeEach(() => {
    timeouts = [];
    messages = [];
    class Channel {
      readonly port1: { onmessage: (() => void) | null } = { onmessage: null };
      readonly port2: { postMessage: () => void } = {
        postMessage: () => messages.push(() => this.port1.onmessage?.()),
      };
    }
    vi.stubGlobal('setImmediate', undefined);
    vi.stubGlobal('MessageChannel', Channel);
    vi.stubGlobal('setTimeout', (task: () => void, ms: number) => timeouts.push({ task, ms, isCleared: false }));
    vi.stubGlobal('clearTimeout', (id: number) => {
      timeouts[id - 1]!.isCleared = true;
    });
  });
  afterEach(() => {
    vi.unstubAllGlobals();
  });

  const deliver = (): void => {
    for (const message of messages.splice(0)) message();
  };

  test('a timer’s task runs in a message of its own, once', () => {
    const platform = systemPlatform();
    const ran: string[] = [];
    platform.setTimeout(() => ran.push('timer'), 7);
    expect(timeouts.map((one) => one.ms)).toEqual([7]);
    timeouts[0]!.task();
    expect(ran).toEqual([]);
    deliver();
    deliver();
    expect(ran).toEqual(['timer']);
  });

  test('a timer that is cleared does not run, neither before it is due nor between that and its message', () => {
    const platform = systemPlatform();
    const ran: string[] = [];
    platform.clearTimeout(platform.setTimeout(() => ran.push('first'), 7));
    expect(timeouts[0]!.isCleared).toBe(true);
    const second = platform.setTimeout(() => ran.push('second'), 7);
    timeouts[1]!.task();
    platform.clearTimeout(second);
    deliver();
    expect(ran).toEqual([]);
  });

  test('immediates run one a message, in order', () => {
    const platform = systemPlatform();
    const ran: number[] = [];
    for (const i of [1, 2, 3]) platform.setImmediate(() => ran.push(i));
    expect(messages.length).toBe(3);
    messages.shift()!();
    expect(ran).toEqual([1]);
    deliver();
    expect(ran).toEqual([1, 2, 3]);
  });
});
