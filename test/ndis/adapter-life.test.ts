/** Pause, restart, reset and removal of an adapter, step by step, with drivers that take their time. */
import { describe, expect, test } from 'vitest';
import type { NetPnpEvent } from '../../src/ndis/protocol.ts';
import { HaltAction, NdisStatus, NetPnpEventCode } from '../../src/ndis/status.ts';
import { emptyNetBufferList, type NetBufferList } from '../../src/state/net-buffer-list.ts';
import { bindHost, FakeHost, FakeTarget, makeWorld, type World } from './fakes.ts';

/** A driver that notes what is asked of it and answers PENDING. */
class SlowTarget extends FakeTarget {
  answer: number = NdisStatus.PENDING;
  pause(): number {
    this.log.push('pause');
    return this.answer;
  }
  restart(): number {
    this.log.push('restart');
    return this.answer;
  }
  resetEx(): number {
    this.log.push('reset');
    return this.answer;
  }
  devicePnpEventNotifyEx(_context: unknown, event: number): void {
    this.log.push(`device event ${event}`);
  }
  override haltEx(_context?: unknown, action?: number): void {
    this.log.push(action === HaltAction.SURPRISE_REMOVED ? 'halt, gone' : 'halt');
  }
}

/** A protocol that notes what it is told and answers PENDING. */
class SlowHost extends FakeHost {
  readonly told: string[] = [];
  pending: NetPnpEvent | null = null;
  pnpAnswer: number = NdisStatus.PENDING;
  netPnpEvent(_context: unknown, event: NetPnpEvent): number {
    this.told.push(`${event.code}${event.reason === undefined ? '' : ` ${event.reason}`}`);
    this.pending = event;
    return this.pnpAnswer;
  }
  unbindAdapterEx(_context: unknown, isGone: boolean): void {
    this.told.push(isGone ? 'unbind, gone' : 'unbind');
  }
}

function stage(): { world: World; target: SlowTarget; host: SlowHost; binding: ReturnType<typeof bindHost> } {
  const world = makeWorld();
  const target = new SlowTarget(world);
  const host = new SlowHost();
  world.ndis.registerAdapter(target);
  const binding = bindHost(world, host, 'nic0');
  target.log.length = 0;
  return { world, target, host, binding };
}

const turns = async (world: World): Promise<void> => {
  for (let i = 0; i < 10; i++) {
    world.runtime.settle();
    await Promise.resolve();
  }
};

/** Whether a promise is settled by now. */
async function isDone(world: World, promise: Promise<unknown>): Promise<boolean> {
  let done = false;
  promise.then(
    () => {
      done = true;
    },
    () => {
      done = true;
    },
  );
  await turns(world);
  return done;
}

function frame(): NetBufferList {
  return emptyNetBufferList();
}

describe('a pause', () => {
  test('asks the protocol, waits for its answer, then asks the driver and waits for it; frames come back as PAUSED from then on', async () => {
    const { world, target, host, binding } = stage();
    const paused = world.ndis.pauseAdapter('nic0');
    expect(await isDone(world, paused)).toBe(false);
    expect([host.told, target.log]).toEqual([[`${NetPnpEventCode.PAUSE} pause`], []]);
    // Until the protocol has answered the adapter works as before.
    world.ndis.sendNetBufferLists(binding, frame(), 0);
    expect(target.framesSent).toHaveLength(1);
    target.ndisM.sendNetBufferListsComplete(target.handle, target.framesSent[0]!);
    world.ndis.completeNetPnpEvent(binding, host.pending!, NdisStatus.SUCCESS);
    expect(await isDone(world, paused)).toBe(false);
    expect(target.log).toEqual(['pause']);
    const refused = frame();
    world.ndis.sendNetBufferLists(binding, refused, 0);
    expect([target.framesSent.length, refused.status, host.framesSent.length]).toEqual([1, NdisStatus.PAUSED, 2]);
    target.ndisM.pauseComplete(target.handle);
    expect(await isDone(world, paused)).toBe(true);
    // Nothing happens to one that stands still already.
    expect(await isDone(world, world.ndis.pauseAdapter('nic0'))).toBe(true);
    expect(target.log).toEqual(['pause']);
  });

  test('ends with a restart: the driver first, then the protocol is told', async () => {
    const { world, target, host, binding } = stage();
    host.pnpAnswer = NdisStatus.SUCCESS;
    target.answer = NdisStatus.SUCCESS;
    await world.ndis.pauseAdapter('nic0');
    target.answer = NdisStatus.PENDING;
    const restarted = world.ndis.restartAdapter('nic0');
    expect(await isDone(world, restarted)).toBe(false);
    expect(host.told).toEqual([`${NetPnpEventCode.PAUSE} pause`]);
    target.ndisM.restartComplete(target.handle, NdisStatus.SUCCESS);
    expect(await isDone(world, restarted)).toBe(true);
    expect(host.told.at(-1)).toBe(`${NetPnpEventCode.RESTART}`);
    world.ndis.sendNetBufferLists(binding, frame(), 0);
    expect(target.framesSent).toHaveLength(1);
  });

  test('a driver that does not restart leaves the adapter paused, and says so', async () => {
    const { world, target, host } = stage();
    host.pnpAnswer = NdisStatus.SUCCESS;
    target.answer = NdisStatus.SUCCESS;
    await world.ndis.pauseAdapter('nic0');
    target.answer = NdisStatus.FAILURE;
    await expect(world.ndis.restartAdapter('nic0')).rejects.toThrow("adapter 'nic0' did not restart: FAILURE");
    expect(host.told).toHaveLength(1);
    target.answer = NdisStatus.SUCCESS;
    await world.ndis.restartAdapter('nic0');
    expect(host.told).toHaveLength(2);
  });

  test('needs nothing of drivers and protocols that have no word for it', async () => {
    const world = makeWorld();
    const target = new FakeTarget(world);
    world.ndis.registerAdapter(target);
    const binding = bindHost(world, new FakeHost(), 'nic0');
    await world.ndis.pauseAdapter('nic0');
    const refused = frame();
    world.ndis.sendNetBufferLists(binding, refused, 0);
    expect(refused.status).toBe(NdisStatus.PAUSED);
    await world.ndis.restartAdapter('nic0');
    await world.ndis.resetAdapter('nic0');
    world.ndis.sendNetBufferLists(binding, frame(), 0);
    expect(target.framesSent).toHaveLength(1);
  });
});

describe('a reset', () => {
  test('is a pause, the driver’s reset between its two statuses, and a restart', async () => {
    const { world, target, host } = stage();
    host.pnpAnswer = NdisStatus.SUCCESS;
    target.answer = NdisStatus.SUCCESS;
    await world.ndis.resetAdapter('nic0');
    expect(target.log).toEqual(['pause', 'reset', 'restart']);
    expect(host.told).toEqual([`${NetPnpEventCode.PAUSE} reset`, `${NetPnpEventCode.RESTART}`]);
    expect(host.statuses).toEqual([NdisStatus.RESET_START, NdisStatus.RESET_END]);
  });

  test('of a paused adapter leaves it paused; one that fails is told', async () => {
    const { world, target, host } = stage();
    host.pnpAnswer = NdisStatus.SUCCESS;
    target.answer = NdisStatus.SUCCESS;
    await world.ndis.pauseAdapter('nic0');
    await world.ndis.resetAdapter('nic0');
    expect([target.log, host.told]).toEqual([['pause', 'reset'], [`${NetPnpEventCode.PAUSE} pause`]]);
    target.answer = NdisStatus.FAILURE;
    await expect(world.ndis.resetAdapter('nic0')).rejects.toThrow("adapter 'nic0' could not be reset: FAILURE");
  });
});

describe('a removal', () => {
  test('in good order: the protocol is asked to unbind, and the driver is halted once that is done', async () => {
    const { world, target, host, binding } = stage();
    const removed = world.ndis.removeAdapter('nic0');
    expect(await isDone(world, removed)).toBe(false);
    expect([host.told, target.log]).toEqual([['unbind'], []]);
    // Asked twice is asked once.
    const again = world.ndis.removeAdapter('nic0');
    world.ndis.closeAdapterEx(binding, () => {});
    expect(await isDone(world, Promise.all([removed, again]))).toBe(true);
    expect([host.told, target.log]).toEqual([['unbind'], ['halt']]);
    expect(world.ndis.adapterNames).toEqual([]);
  });

  test('by surprise: the driver is told at once, what is sent comes back as ADAPTER_REMOVED, then the same', async () => {
    const { world, target, host, binding } = stage();
    target.ndisM.removeMiniport(target.handle);
    target.ndisM.removeMiniport(target.handle);
    const refused = frame();
    world.ndis.sendNetBufferLists(binding, refused, 0);
    expect(refused.status).toBe(NdisStatus.ADAPTER_REMOVED);
    await turns(world);
    expect([host.told, target.log]).toEqual([['unbind, gone'], ['device event 1']]);
    world.ndis.closeAdapterEx(binding, () => {});
    await turns(world);
    expect(target.log).toEqual(['device event 1', 'halt, gone']);
    expect(world.ndis.adapterNames).toEqual([]);
  });

  test('while a pause waits for its answer: the pause ends without the driver being asked', async () => {
    const { world, target, host, binding } = stage();
    const paused = world.ndis.pauseAdapter('nic0');
    await turns(world);
    target.ndisM.removeMiniport(target.handle);
    await turns(world);
    world.ndis.completeNetPnpEvent(binding, host.pending!, NdisStatus.SUCCESS);
    expect(await isDone(world, paused)).toBe(true);
    world.ndis.closeAdapterEx(binding, () => {});
    await turns(world);
    expect(target.log).toEqual(['device event 1', 'halt, gone']);
  });

  test('of an adapter that nobody is bound to', async () => {
    const world = makeWorld();
    const target = new SlowTarget(world);
    world.ndis.registerAdapter(target);
    await world.ndis.removeAdapter('nic0');
    expect(target.log).toEqual(['halt']);
  });
});

test('an event or a completion that nobody waits for is a bug of its maker', async () => {
  const { world, target, host, binding } = stage();
  expect(() => target.ndisM.pauseComplete(target.handle)).toThrow('completed once');
  host.pnpAnswer = NdisStatus.SUCCESS;
  const event = { code: NetPnpEventCode.RESTART };
  expect(() => world.ndis.completeNetPnpEvent(binding, event, NdisStatus.SUCCESS)).toThrow('completed once');
});
