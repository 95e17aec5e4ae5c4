/**
 * Filter expressions cut into tokens.
 *
 * Words hold everything that names, numbers and addresses are written with ('tcp', '10.0.0.0/8', 'fd00::1', 'tcp-syn',
 * '8000-8080'); the rest are operators. Promises: a bound on the length; each token knows where it stood.
 */

import { FilterSyntaxError } from './syntax-error.ts';

/** A token; `text` is '' at the end of the expression. */
export interface Token {
  readonly text: string;
  /** Where it stands, characters from 0. */
  readonly at: number;
  readonly isWord: boolean;
}

/** Longest expression that is read, characters. */
export const EXPRESSION_LENGTH_MAX = 16_384;

const TOKEN = /\s*(?:([A-Za-z0-9_.:/-]+)|(&&|\|\||==|!=|<=|>=|[()[\]!&|=<>]))/y;

/** The tokens of an expression, with one for its end. Throws {@link FilterSyntaxError}. */
export function tokensOf(expression: string): Token[] {
  if (expression.length > EXPRESSION_LENGTH_MAX) {
    throw new FilterSyntaxError('', 0, `at most ${EXPRESSION_LENGTH_MAX} characters`, `${expression.length}`);
  }
  const tokens: Token[] = [];
  const end = expression.trimEnd().length;
  TOKEN.lastIndex = 0;
  let at = 0;
  while (at < end) {
    const match = TOKEN.exec(expression);
    if (match === null) {
      const wrong = expression.slice(at).search(/\S/) + at;
      throw new FilterSyntaxError(expression, wrong, 'a word, a number or an operator', `'${expression[wrong]}'`);
    }
    const text = match[1] ?? match[2]!;
    tokens.push({ text, at: TOKEN.lastIndex - text.length, isWord: match[1] !== undefined });
    at = TOKEN.lastIndex;
  }
  tokens.push({ text: '', at: end, isWord: false });
  return tokens;
}
