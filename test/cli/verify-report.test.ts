/** The reports of `chimney verify`: XML by a real parser, JSON by its schema, the history of a finding as it is told. */
import { SaxesParser } from 'saxes';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { type Examination, jsonReport, junitReport, textReport } from '../../apps/cli/verify/report.ts';
import { findSubject } from '../../apps/cli/verify/subject.ts';
import { type ExploreReport, explore } from '../../src/conformance/explore.ts';

const VERDICT = z.strictObject({
  rule: z.string().regex(/^(?:[A-Z]+-\d{3}|BYTES|WIRE|STUCK|THROWN|VERIFIER)$/),
  also: z.array(z.string().regex(/^[A-Z]+-\d{3}$/)),
  level: z.enum(['must', 'should']),
  actor: z.enum(['host', 'target', 'ndis']),
  adapter: z.string().min(1),
  call: z.string().min(1),
  object: z.string().min(1),
  expected: z.string().min(1),
  seen: z.string().min(1),
  lastCalls: z.array(z.string().regex(/^#\d+ Ndis/)).max(20),
  scenario: z.string().min(1),
  replay: z.string().regex(/^[a-z0-9-]+\/(?:-|\d+:\d+(?:,\d+:\d+)*)$/),
  times: z.int().min(1),
  steps: z.array(z.string()),
  says: z.string().min(1),
});

const SCENARIO = z.strictObject({
  name: z.string().min(1),
  about: z.string().min(1),
  systematic: z.int().min(0),
  random: z.int().min(0),
  exhaustedTo: z.int().min(0).nullable(),
  traces: z.int().min(0),
  findings: z.int().min(0),
});

const REPORT = z.strictObject({
  ok: z.boolean(),
  subject: z.string(),
  kind: z.enum(['target', 'driver']),
  elapsedMs: z.int().min(0),
  seed: z.int().min(0),
  interleavings: z.int().min(0),
  traces: z.int().min(0),
  hasNoChimney: z.boolean(),
  scenarios: z.array(SCENARIO),
  findings: z.array(VERDICT),
});

interface Element {
  readonly name: string;
  readonly attributes: Readonly<Record<string, string>>;
  readonly inside: string;
}

/** The elements of a document. Throws where it is not well-formed. */
function elementsOf(text: string): (Element & { text: string })[] {
  const all: (Element & { text: string })[] = [];
  const open: (Element & { text: string })[] = [];
  const parser = new SaxesParser();
  parser.on('error', (error) => {
    throw error;
  });
  parser.on('opentag', ({ name, attributes }) => {
    const element = {
      name,
      attributes: attributes as Record<string, string>,
      inside: open.at(-1)?.name ?? '',
      text: '',
    };
    all.push(element);
    open.push(element);
  });
  parser.on('text', (inner) => {
    const element = open.at(-1);
    if (element !== undefined) element.text += inner;
  });
  parser.on('closetag', () => {
    open.pop();
  });
  parser.write(text).close();
  return all;
}

async function examinationOf(name: string): Promise<Examination> {
  const subject = await findSubject(name);
  const report = explore(subject.subject, { seed: 1, interleavings: 300 });
  return { subject, report, elapsedMs: 12.3 };
}

/** Texts that would break XML that is put together carelessly. */
const NASTY = `a<b>&amp;"c"'d'\u0000\u001b[1m]]>\n\tend \u2028 \ud83d\ude00`;

function nasty({ subject, report, elapsedMs }: Examination): Examination {
  const findings = report.findings.map((verdict) => ({ ...verdict, expected: NASTY, seen: NASTY, lastCalls: [NASTY] }));
  const bent: ExploreReport = { ...report, findings };
  return { subject: { ...subject, name: NASTY }, report: bent, elapsedMs };
}

describe('JUnit XML', () => {
  test('has a test case for each scenario and a failure for each that found something', async () => {
    const examination = await examinationOf('faulty:SEND-001');
    const elements = elementsOf(junitReport(examination));
    const suite = elements[0]!;
    expect(suite).toMatchObject({ name: 'testsuite', attributes: { errors: '0', time: '0.012' } });
    const cases = elements.filter(({ name }) => name === 'testcase');
    expect(cases.map(({ attributes }) => attributes['name'])).toEqual(
      examination.report.scenarios.map(({ name }) => name),
    );
    expect(suite.attributes['tests']).toBe(String(cases.length));
    const failures = elements.filter(({ name }) => name === 'failure');
    expect(failures.length).toBeGreaterThan(0);
    expect(suite.attributes['failures']).toBe(String(failures.length));
    for (const failure of failures) {
      expect(failure.inside).toBe('testcase');
      expect(failure.attributes['type']).toBe('SEND-001');
      expect(failure.text).toContain('MiniportTcpOffloadSend always returns PENDING');
    }
  });

  test('is well-formed whatever a driver is called and whatever it throws', async () => {
    const elements = elementsOf(junitReport(nasty(await examinationOf('faulty:SEND-001'))));
    const message = elements.find(({ name }) => name === 'failure')!.attributes['message']!;
    expect(message).toContain(`a<b>&amp;"c"'d'`);
    expect(message).toContain('\n');
  });

  test('a careless one is not: the parser of this test tells', () => {
    expect(() => elementsOf('<a b="<"/>')).toThrow();
    expect(() => elementsOf('<a>\u0001</a>')).toThrow();
  });
});

describe('JSON', () => {
  test.each(['engine', 'plain', 'faulty:RECV-040', 'faulty:CTX-015'])('keeps its schema: %s', async (name) => {
    const examination = await examinationOf(name);
    const report = REPORT.parse(JSON.parse(jsonReport(examination)));
    expect(report.ok).toBe(!name.startsWith('faulty'));
    expect(report.findings.length).toBe(examination.report.findings.length);
    expect(report.traces).toBe(report.scenarios.reduce((sum, { traces }) => sum + traces, 0));
  });
});

describe('a finding', () => {
  test('tells the rule, who broke it, in which call, on which object, and what had been said before', async () => {
    const text = textReport(await examinationOf('faulty:RECV-040'));
    expect(text).toContain('1. RECV-040 (must, target): Data that has been refused is not indicated again');
    expect(text).toMatch(/call {6}NdisTcpOffloadReceiveHandler on tcp 10\.0\.0\.1:1000-10\.0\.0\.3:2000 \(nic\)/);
    expect(text).toMatch(/expected {2}no indication after a refusal/);
    expect(text).toContain('NdisInitiateOffload: 3 blocks');
    expect(text).toContain('NdisTcpOffloadReceiveHandler: 20 bytes; OFFLOAD_DATA_NOT_ACCEPTED, 0 bytes taken');
    expect(text).toMatch(/replay {4}chimney verify faulty:RECV-040 --seed 1 --replay 'refused\/-'/);
  });
});
