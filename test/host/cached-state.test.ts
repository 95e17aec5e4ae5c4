/** The cached state of a connection as the host tells it to a target: what was left to the IP layer is said. STATE-046, RFC 1122 3.2.1.7. */
import { describe, expect, test } from 'vitest';
import { StateOperation } from '../../src/ndis/tap.ts';
import { forEachBlock } from '../../src/ndis/walk.ts';
import { TcpCachedState } from '../../src/state/tcp.ts';
import { ChimneyScene, type SceneOptions } from './chimney-scene.ts';

/** TtlOrHopLimit of each cached structure that has gone down. */
function toldIn(options: SceneOptions, act: (s: ChimneyScene) => void): number[] {
  const s = new ChimneyScene(options);
  const told: number[] = [];
  s.door.onState = (operation, root, isCompletion) => {
    if (isCompletion || (operation !== StateOperation.INITIATE && operation !== StateOperation.UPDATE)) return;
    forEachBlock(root, ({ cachedState }) => {
      if (cachedState instanceof TcpCachedState) told.push(cachedState.ttlOrHopLimit);
    });
  };
  act(s);
  return told;
}

describe('TtlOrHopLimit', () => {
  test.each([
    ['the default of the stack', {}, (s: ChimneyScene) => s.offload(), [64]],
    ['another default', { host: { ip: { hopLimit: 33 } } }, (s: ChimneyScene) => s.offload(), [33]],
    [
      'what the application has set, before and after',
      {},
      (s: ChimneyScene) => {
        s.endpoint.setHopLimit(7);
        s.offload();
        s.endpoint.setHopLimit(300);
        s.runtime.settle();
      },
      [7, 255],
    ],
    [
      'the default still, in an update for the sake of something else',
      {},
      (s: ChimneyScene) => {
        s.offload().endpoint.setTrafficClass(16);
        s.runtime.settle();
      },
      [64, 64],
    ],
  ] as const)('is %s', (_what, options, act, expected) => {
    expect(toldIn(options, act)).toEqual(expected);
  });

  test('is never 0: a host that is about to say so finds its own mistake', () => {
    const act = (s: ChimneyScene): void => {
      s.beginOffload();
      s.runtime.settle();
    };
    expect(() => toldIn({ host: { ip: { hopLimit: 0 } } }, act)).toThrow(
      'TtlOrHopLimit of an offloaded connection is 1 to 255',
    );
  });
});
