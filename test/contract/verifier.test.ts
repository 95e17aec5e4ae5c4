import { describe, expect, test } from 'vitest';
import type { Checker } from '../../src/contract/checker.ts';
import { CHECKERS, checkedRules } from '../../src/contract/checkers.ts';
import { findingText, rulesOf } from '../../src/contract/finding.ts';
import { FAULTS } from '../../src/faulty.ts';
import { NdisStatus, TcpDisconnectFlag, TcpOffloadEventType, TcpUploadReason } from '../../src/ndis/status.ts';
import { DataOperation, StateOperation } from '../../src/ndis/tap.ts';
import { data } from '../ndis/fakes.ts';
import { COMPLETION_BREACHES, EVENT_BREACHES, POSTING_BREACHES, TERMINATE_BREACHES } from './breaches-data.ts';
import { INITIATE_BREACHES } from './breaches-initiate.ts';
import { RECEIVE_BREACHES } from './breaches-receive.ts';
import { OPERATION_BREACHES, ORDER_BREACHES, SHAPE_BREACHES, TOUCH_BREACHES } from './breaches-trees.ts';
import { type Breach, Scene } from './scene.ts';

const TABLES: Readonly<Record<string, readonly Breach[]>> = {
  'the shape of trees': SHAPE_BREACHES,
  'what a target leaves alone': TOUCH_BREACHES,
  'operations and completions': OPERATION_BREACHES,
  'order of operations': ORDER_BREACHES,
  initiate: INITIATE_BREACHES,
  'data calls': POSTING_BREACHES,
  'data completions': COMPLETION_BREACHES,
  receiving: RECEIVE_BREACHES,
  events: EVENT_BREACHES,
  terminate: TERMINATE_BREACHES,
};

for (const [about, breaches] of Object.entries(TABLES)) {
  describe(`breaches: ${about}`, () => {
    for (const breach of breaches) {
      test(`${breach.how} breaks ${breach.rule}, and that is what is reported`, () => {
        const scene = new Scene();
        breach.act(scene);
        const { findings } = scene.verifier;
        expect(findings.flatMap(rulesOf)).toContain(breach.rule);
        const meant = [breach.rule, ...breach.with!];
        const others = findings.filter((finding) => !rulesOf(finding).some((rule) => meant.includes(rule)));
        expect(others.map(findingText)).toEqual([]);
        expect(scene.verifier.failures).toEqual([]);
      });
    }
  });
}

test('every rule that a checker reports is broken by some scene above, or by a faulty driver in the conformance suite', () => {
  const broken = new Set(Object.values(TABLES).flatMap((breaches) => breaches.map(({ rule }) => rule)));
  for (const { rule } of FAULTS) broken.add(rule);
  const reported = CHECKERS.flatMap((checker) => [...checker.must, ...(checker.should ?? [])]);
  expect([...new Set(reported)].filter((rule) => !broken.has(rule))).toEqual([]);
});

describe('the verifier', () => {
  test('says nothing about a life that keeps the contract', () => {
    const s = new Scene().offload();
    const { SEND, RECEIVE, DISCONNECT, FORWARD } = DataOperation;
    s.complete(SEND, s.send(10), NdisStatus.SUCCESS, 10);
    s.complete(RECEIVE, s.receive(10), NdisStatus.SUCCESS, 4);
    s.returnLists(s.indicate());
    s.refusing();
    s.indicate();
    s.complete(RECEIVE, s.receive(0), NdisStatus.SUCCESS, 0);
    s.indicate();
    s.complete(RECEIVE, s.receive(20), NdisStatus.SUCCESS, 20);
    const segment = data(20);
    segment.firstNetBuffer!.mdlChain!.buffer[12] = 0x50;
    s.post(FORWARD, segment);
    s.complete(FORWARD, segment, NdisStatus.SUCCESS, 0);
    const { QUERY, UPDATE, INVALIDATE } = StateOperation;
    for (const operation of [QUERY, UPDATE, INVALIDATE]) {
      s.call(operation);
      s.target.complete(operation);
    }
    s.event(TcpOffloadEventType.INDICATE_RETRIEVE, TcpUploadReason.INVALID_STATE);
    const close = s.graceful(5);
    s.complete(DISCONNECT, close, NdisStatus.UPLOAD_IN_PROGRESS, 2);
    s.send(6);
    s.receive(6);
    s.terminate();
    s.world.ndis.closeAdapterEx(s.binding, () => {});
    s.world.runtime.settle();
    s.verifier.finish();
    expect(s.verifier.findings.map(findingText)).toEqual([]);
    expect(s.verifier.failures).toEqual([]);
    expect(s.verifier.outstanding).toEqual({ operations: 0, lists: 0, held: 0, objects: 0 });
  });

  test('says nothing about the corruption sequence, the second terminate included (TERM-021 to TERM-025)', () => {
    const s = new Scene().offload();
    const list = s.send(10);
    const upload = s.target.upload.bind(s.target);
    s.target.upload = () => {};
    s.terminate((root) => {
      root.dependentBlockList!.dependentBlockList!.status = NdisStatus.FAILURE;
      root.dependentBlockList!.status = NdisStatus.SUCCESS;
    });
    s.event(TcpOffloadEventType.INDICATE_RETRIEVE, TcpUploadReason.HARDWARE_FAILURE);
    s.event(TcpOffloadEventType.INDICATE_ABORT);
    s.target.upload = upload;
    s.call(StateOperation.TERMINATE);
    s.complete(DataOperation.SEND, list, NdisStatus.REQUEST_ABORTED, 0);
    s.target.complete(StateOperation.TERMINATE);
    expect(s.rules).toEqual([]);
    expect(s.verifier.outstanding.objects).toBe(0);
  });

  test('an object may be offloaded again after its terminate, with nothing of its last life held against it', () => {
    const s = new Scene().offload();
    s.event(TcpOffloadEventType.INDICATE_RETRIEVE, TcpUploadReason.UPLOAD_REQUESTED);
    s.complete(DataOperation.DISCONNECT, s.graceful(), NdisStatus.UPLOAD_IN_PROGRESS, 0);
    s.terminate();
    s.offloadAgain();
    s.complete(DataOperation.SEND, s.send(10), NdisStatus.SUCCESS, 10);
    s.complete(DataOperation.DISCONNECT, s.graceful(), NdisStatus.SUCCESS, 0);
    expect(s.rules).toEqual([]);
  });

  test('a finding tells rule, actor, call, object, expected, seen and the last 20 calls', () => {
    const told: string[] = [];
    const s = new Scene({ onFinding: (finding) => told.push(findingText(finding)) }).offload();
    for (let i = 0; i < 30; i++) s.complete(DataOperation.SEND, s.send(1), NdisStatus.SUCCESS, 1);
    const list = data(4);
    s.post(DataOperation.DISCONNECT, list, TcpDisconnectFlag.ABORTIVE_CLOSE);
    const finding = s.verifier.findings[0]!;
    expect(finding).toMatchObject({
      rule: 'DISC-013',
      level: 'must',
      actor: 'host',
      adapter: 'nic0',
      call: 'NdisOffloadTcpDisconnect',
      object: 'tcp 10.0.0.1:80-10.0.0.2:4711',
      expected: 'no data in an abortive disconnect',
      seen: '4 bytes',
    });
    expect(finding.lastCalls).toHaveLength(20);
    expect(finding.lastCalls.at(-1)).toMatch(/^#\d+ NdisOffloadTcpDisconnect: ABORTIVE_CLOSE, \d+ bytes$/);
    expect(told).toEqual([findingText(finding)]);
  });

  test('a checker that throws disturbs neither the traffic nor the other checkers, and is noted', () => {
    const broken: Checker = {
      about: 'nothing',
      must: [],
      dataCall() {
        throw new Error('oops');
      },
    };
    const s = new Scene({ checkers: [broken, ...CHECKERS] }).offload();
    s.post(DataOperation.RECEIVE, data(1), 0);
    s.indicate();
    expect(s.object.receives).toHaveLength(1);
    expect(s.rules).toEqual(['RECV-013']);
    expect(s.verifier.failures).toEqual(['NdisOffloadTcpReceive: nothing: Error: oops']);
  });

  test('keeps no more findings than it may, and counts all', () => {
    const s = new Scene({ maxFindings: 2 }).offload();
    for (let i = 0; i < 5; i++) s.attempt(() => s.event(99));
    expect(s.rules).toEqual(['EVT-002', 'EVT-002']);
    expect(s.verifier.findingCount).toBe(5);
  });

  test('can be told to leave out rules that say should', () => {
    const s = new Scene({ shoulds: false }).offload();
    s.receive(10);
    s.indicate();
    expect(s.rules).toEqual([]);
  });

  test('restores the status of a list that nobody has written (it must not change what passes)', () => {
    const s = new Scene().offload();
    const list = data(10);
    list.status = NdisStatus.INVALID_STATE;
    s.post(DataOperation.SEND, list);
    s.completeAsItIs(DataOperation.SEND, list);
    expect(list.status).toBe(NdisStatus.INVALID_STATE);
  });

  test('one that comes late takes what it finds for granted', () => {
    const s = new Scene();
    const late = new Scene();
    late.offload();
    const list = late.send(10);
    late.world.ndis.attachTap('nic0', s.verifier);
    late.complete(DataOperation.SEND, list, NdisStatus.SUCCESS, 10);
    late.call(StateOperation.QUERY);
    late.target.complete(StateOperation.QUERY);
    late.complete(DataOperation.SEND, late.send(10), NdisStatus.SUCCESS, 10);
    expect(s.rules).toEqual([]);
  });

  test('lists the rules that it watches, aliases included', () => {
    const rules = checkedRules();
    expect(rules).toContain('TERM-032');
    expect(rules).toContain('NBL-020');
    expect(rules).toEqual([...rules].sort());
    expect(new Set(rules).size).toBe(rules.length);
  });
});
