/** The documents: the page of operations is fresh, and every link in every page leads somewhere. */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { filesUnder, repositoryRoot } from '../../scripts/files.ts';
import { withIncludes } from '../../scripts/includes.ts';
import { operationsPage } from '../../scripts/operations/page.ts';
import { CHAPTERS } from '../../scripts/operations/scenes.ts';
import { RULE_BOOK } from '../../src/contract/rule-book.ts';
import {
  DATA_CALL_NAMES,
  DATA_COMPLETION_NAMES,
  STATE_CALL_NAMES,
  STATE_COMPLETION_NAMES,
} from '../../src/ndis/tap.ts';

const root = repositoryRoot();
const read = (path: string): string => readFileSync(join(root, path), 'utf8');

describe('docs/operations.md', () => {
  const page = operationsPage();

  test('is what `npm run rules -- --write` makes', () => {
    expect(read('docs/operations.md')).toBe(page);
  });

  test('shows every call and every completion of the chimney', () => {
    for (const name of [...STATE_CALL_NAMES, ...STATE_COMPLETION_NAMES, ...DATA_CALL_NAMES, ...DATA_COMPLETION_NAMES]) {
      expect(page).toContain(name);
    }
    for (const name of ['ReceiveReturn', 'INDICATE_RETRIEVE', 'INDICATE_DISCONNECT', 'INDICATE_ABORT', 'UPLOAD_ALL']) {
      expect(page).toContain(name);
    }
  });

  test('draws the same whenever it is drawn, and cites rules that there are', () => {
    expect(operationsPage()).toBe(page);
    const ids = new Set(RULE_BOOK.flatMap(({ rules }) => rules.map(({ id }) => id)));
    const cited = CHAPTERS.flatMap(({ scenes }) => scenes.flatMap(({ text }) => text.match(/[A-Z]+-\d{3}/g) ?? []));
    expect(cited.filter((id) => !ids.has(id))).toEqual([]);
  });
});

describe('code in documents', () => {
  const pages = filesUnder(root, '', '.md').filter((path) => read(path).includes('<!-- from '));

  test('is in two pages at least', () => {
    expect(pages).toEqual(['docs/write-your-own-driver.md', 'docs/write-your-own-target.md']);
  });

  test.each(pages)('%s: is that of its files', (path) => {
    const page = read(path);
    expect(page).toBe(withIncludes(root, page));
    expect(page).not.toContain('```ts\n```');
  });

  test('a text that is not in the file is told', () => {
    const page = '<!-- from package.json: "nonsense" -->\n```json\n\n```\n';
    expect(() => withIncludes(root, page)).toThrow("package.json has no line with 'nonsense'");
  });
});

/** What GitHub makes of a heading. */
function anchorOf(heading: string): string {
  const text = heading
    .replace(/`/g, '')
    .replace(/\[([^\]]*)\]\([^)]*\)/g, '$1')
    .trim()
    .toLowerCase();
  return text.replace(/[^\p{L}\p{N} _-]/gu, '').replace(/ /g, '-');
}

function anchorsOf(page: string): Set<string> {
  return new Set(
    withoutCode(page)
      .match(/^#+ .*$/gm)
      ?.map((line) => anchorOf(line.replace(/^#+ /, ''))) ?? [],
  );
}

function withoutCode(page: string): string {
  return page.replace(/^```[\s\S]*?^```/gm, '');
}

describe('links', () => {
  const pages = filesUnder(root, '', '.md');

  test.each(pages)('%s: every link leads to a file and a heading that there are', (path) => {
    const dead: string[] = [];
    for (const [, target] of withoutCode(read(path)).matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^[a-z]+:/.test(target!)) continue;
      const [file, anchor] = target!.split('#') as [string, string | undefined];
      const full = file === '' ? path : join(dirname(path), file);
      if (!existsSync(join(root, full))) dead.push(target!);
      else if (anchor !== undefined && full.endsWith('.md') && !anchorsOf(read(full)).has(anchor)) dead.push(target!);
    }
    expect(dead).toEqual([]);
  });
});
