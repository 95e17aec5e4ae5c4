/**
 * A page with two hosts in it, and a connection between them that moves: what the visitor sees of {@link start}.
 *
 *   npm run page        and open what it says
 *
 * The query may choose what the form chooses, and begin at once: `?size=8&loss=0.01&delay=2&move=20&verify=1&go`.
 */
import { Chart } from './chart.ts';
import { type Outcome, type Run, type RunOptions, start } from './run.ts';
import type { Report } from './side.ts';

const SHOW_MS = 100;
const OPERATIONS_SHOWN = 15;

const element = <T extends HTMLElement>(id: string): T => document.getElementById(id) as T;
const form = element<HTMLFormElement>('controls');
const startButton = element<HTMLButtonElement>('start');
const moveButtons = document.querySelectorAll<HTMLButtonElement>('[data-move]');
const chart = new Chart(element<HTMLCanvasElement>('chart'));
const operations: string[] = [];
let captureUrl = '';
let run: Run | null = null;

function say(state: 'ready' | 'running' | 'done' | 'failed', text: string): void {
  document.body.dataset['state'] = state;
  element('outcome').textContent = text;
  startButton.disabled = state === 'running';
  for (const button of moveButtons) button.disabled = state !== 'running';
}

function chosen(): RunOptions {
  const data = new FormData(form);
  return {
    bytes: Number(data.get('size')) * 1_000_000,
    loss: Number(data.get('loss')),
    delayMs: Number(data.get('delay')),
    moveMs: Number(data.get('move')),
    verify: data.get('verify') !== null,
  };
}

async function play(): Promise<void> {
  const options = chosen();
  say('running', 'Running …');
  element('capture').hidden = true;
  URL.revokeObjectURL(captureUrl);
  operations.length = 0;
  element('wire').textContent = `MessagePort, ${options.loss * 100} % loss, ${options.delayMs} ms one way`;
  if (options.verify) await import('chimney/contract');
  chart.clear(performance.now());
  const current = start(options);
  run = current;
  const showing = setInterval(() => show(current), SHOW_MS);
  try {
    const outcome = await current.outcome;
    show(current);
    tell(outcome, options, current);
  } catch (error) {
    say('failed', String(error));
  } finally {
    clearInterval(showing);
    run = null;
  }
}

function tell(outcome: Outcome, options: RunOptions, current: Run): void {
  captureUrl = URL.createObjectURL(outcome.capture);
  const link = element<HTMLAnchorElement>('capture');
  link.href = captureUrl;
  link.hidden = false;
  const findings = current.sender().findings + current.receiver().findings;
  const isEqual = outcome.sentSha256 === outcome.receivedSha256;
  const seconds = outcome.elapsedMs / 1000;
  const rate = (options.bytes * 8) / outcome.elapsedMs / 1000;
  const text = `${options.bytes / 1e6} MB in ${seconds.toFixed(1)} s, ${rate.toFixed(0)} Mbit/s, SHA-256 `;
  const rules = options.verify ? `, ${findings} rules broken` : '';
  say(isEqual && findings === 0 ? 'done' : 'failed', `${text}${isEqual ? 'equal' : 'DIFFERENT'}${rules}`);
}

function show(current: Run): void {
  const [sender, receiver] = [current.sender(), current.receiver()];
  const rate = chart.add(performance.now(), sender, receiver);
  chart.draw();
  for (const [id, report] of Object.entries({ sender, receiver })) {
    for (const place of element(id).querySelectorAll<HTMLElement>('.place')) {
      place.classList.toggle('here', place.dataset['place'] === report.location);
    }
  }
  showFigures(sender, receiver, rate, current.framesLost());
  operations.push(...sender.operations);
  operations.splice(0, operations.length - OPERATIONS_SHOWN);
  element('operations').replaceChildren(...operations.map((text) => line(text)));
}

function line(text: string): HTMLLIElement {
  const item = document.createElement('li');
  item.textContent = text;
  item.title = text;
  return item;
}

function showFigures(sender: Report, receiver: Report, mbitPerS: number, framesLost: number): void {
  const number = (value: number): string => value.toLocaleString('en');
  const both = (of: (report: Report) => string): [string, string] => [of(sender), of(receiver)];
  const rows: [string, string, string][] = [
    ['MB sent, delivered', ...both((one) => (one.bytes / 1e6).toFixed(1))],
    ['Mbit/s now', '', mbitPerS.toFixed(0)],
    ['connection is at', ...both((one) => one.location)],
    ['moves', ...both((one) => number(one.moves))],
    ['freeze of a move, p50, µs', ...both((one) => number(one.freezeUs[0]))],
    ['p99, µs', ...both((one) => number(one.freezeUs[1]))],
    ['longest, µs', ...both((one) => number(one.freezeUs[2]))],
    ['packets of the host stack', ...both((one) => number(one.byHost))],
    ['packets of the target', ...both((one) => number(one.byTarget))],
    ['frames lost on the wire', number(framesLost), ''],
    ['segments sent again', ...both((one) => number(one.retransmitted))],
    ['broken rules found', ...both((one) => number(one.findings))],
  ];
  const cells = rows.map((row) => {
    const tr = document.createElement('tr');
    row.forEach((text, i) => {
      const cell = document.createElement(i === 0 ? 'th' : 'td');
      cell.textContent = text;
      tr.append(cell);
    });
    return tr;
  });
  element('figures').replaceChildren(...cells);
}

/** What the query says, into the form. */
function takeQuery(query: URLSearchParams): void {
  for (const [name, value] of query) {
    const field = form.elements.namedItem(name);
    if (field instanceof HTMLInputElement) field.checked = value !== '0';
    else if (field instanceof HTMLSelectElement) {
      if (![...field.options].some((option) => option.value === value)) field.add(new Option(value, value));
      field.value = value;
    }
  }
}

form.addEventListener('submit', (event) => {
  event.preventDefault();
  if (run === null) void play();
});
form.addEventListener('change', () => run?.moveEvery(chosen().moveMs));
for (const button of moveButtons) {
  button.addEventListener('click', () => run?.move(button.dataset['move'] === 'sender' ? 'sender' : 'receiver'));
}
const query = new URLSearchParams(location.search);
takeQuery(query);
say('ready', '');
if (query.has('go')) void play();
