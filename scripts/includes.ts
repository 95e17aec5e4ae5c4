/**
 * Code in documents that is the code of a file: a block behind a comment like
 *
 *   <!-- from examples/my-target.ts: "export class MyTarget" to "  protected override transmit" -->
 *
 * holds the file from the first line with the one text up to the line with the other (which is left out; absent: to the end).
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

const BLOCK = /(<!-- from ([^\s:]+): "([^"\n]*)"(?: to "([^"\n]*)")? -->\n```(\w+)\n)[\s\S]*?(\n```)/g;

/** The page with all such blocks as their files have them now. Throws where a text is not in the file. */
export function withIncludes(root: string, page: string): string {
  return page.replace(
    BLOCK,
    (_all, head: string, file: string, from: string, to: string | undefined, _l, foot: string) => {
      return `${head}${piece(readFileSync(join(root, file), 'utf8'), file, from, to)}${foot}`;
    },
  );
}

function piece(text: string, file: string, from: string, to: string | undefined): string {
  const lines = text.trimEnd().split('\n');
  const start = lines.findIndex((line) => line.includes(from));
  if (start < 0) throw new Error(`${file} has no line with '${from}'`);
  let end = lines.length;
  if (to !== undefined) {
    end = lines.findIndex((line, i) => i > start && line.includes(to));
    if (end < 0) throw new Error(`${file} has no line with '${to}' behind '${from}'`);
  }
  return lines.slice(start, end).join('\n').trimEnd();
}
