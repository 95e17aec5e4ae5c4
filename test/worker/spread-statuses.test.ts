/** What several threads say of themselves, as one adapter: once, not inside an initiate, and no resume before all is gone. */
import { describe, expect, test } from 'vitest';
import { NdisStatus } from '../../src/ndis/miniport.ts';
import { SpreadStatuses } from '../../src/target/worker/spread-statuses.ts';

const { L2_MTU_SIZE_CHANGE, LINK_STATE_DOWN, LINK_STATE_UP, OFFLOAD_PAUSE, OFFLOAD_RESUME, UPLOAD_ALL } = NdisStatus;

function scene() {
  const said: number[] = [];
  let connections = 0;
  const statuses = new SpreadStatuses({
    indicate: ({ statusCode }) => said.push(statusCode),
    isEmpty: () => connections === 0,
  });
  return {
    said,
    statuses,
    connectionsAre: (count: number): void => {
      connections = count;
    },
    /** All three threads say so. */
    all: (statusCode: number): void => {
      for (const thread of [0, 1, 2]) statuses.told({ statusCode, statusBuffer: null }, thread === 0);
    },
  };
}

describe('statuses of several threads', () => {
  test('are said once', () => {
    const { all, said } = scene();
    for (const status of [LINK_STATE_DOWN, OFFLOAD_PAUSE, LINK_STATE_UP, OFFLOAD_RESUME]) all(status);
    expect(said).toEqual([LINK_STATE_DOWN, OFFLOAD_PAUSE, LINK_STATE_UP, OFFLOAD_RESUME]);
  });

  test('an MTU is said once, and again when it is another one', () => {
    const mtus: unknown[] = [];
    const own = new SpreadStatuses({ indicate: ({ statusBuffer }) => mtus.push(statusBuffer), isEmpty: () => true });
    for (const mtu of [1400, 1500, 1500, 1300]) {
      for (const isFirst of [false, true]) own.told({ statusCode: L2_MTU_SIZE_CHANGE, statusBuffer: mtu }, isFirst);
    }
    expect(mtus).toEqual([1400, 1500, 1300]);
  });

  test('wait for the end of an initiate, in their order [INIT-052]', () => {
    const { all, said, statuses } = scene();
    statuses.initiateBegun();
    statuses.initiateBegun();
    all(OFFLOAD_PAUSE);
    all(OFFLOAD_RESUME);
    statuses.operationDone(true);
    statuses.operationDone(false);
    expect(said).toEqual([]);
    statuses.operationDone(true);
    expect(said).toEqual([OFFLOAD_PAUSE, OFFLOAD_RESUME]);
  });

  test('after UPLOAD_ALL a thread that is empty does not resume before the others are [TERM-074]', () => {
    const { all, said, statuses, connectionsAre } = scene();
    connectionsAre(2);
    all(UPLOAD_ALL);
    all(OFFLOAD_RESUME);
    connectionsAre(1);
    statuses.operationDone(false);
    expect(said).toEqual([UPLOAD_ALL]);
    connectionsAre(0);
    statuses.operationDone(false);
    statuses.operationDone(false);
    expect(said).toEqual([UPLOAD_ALL, OFFLOAD_RESUME]);
  });

  test('a resume that waits is forgotten when there is a pause, or all is asked back again', () => {
    for (const status of [OFFLOAD_PAUSE, UPLOAD_ALL]) {
      const { all, said, statuses, connectionsAre } = scene();
      connectionsAre(1);
      all(UPLOAD_ALL);
      all(OFFLOAD_RESUME);
      all(status);
      connectionsAre(0);
      statuses.operationDone(false);
      expect(said).toEqual([UPLOAD_ALL, status]);
      all(OFFLOAD_RESUME);
      expect(said.at(-1)).toBe(OFFLOAD_RESUME);
    }
  });

  test('after a mere pause connections stay, and a resume waits for none of them', () => {
    const { all, said, connectionsAre } = scene();
    connectionsAre(5);
    all(OFFLOAD_PAUSE);
    all(OFFLOAD_RESUME);
    expect(said).toEqual([OFFLOAD_PAUSE, OFFLOAD_RESUME]);
  });
});
