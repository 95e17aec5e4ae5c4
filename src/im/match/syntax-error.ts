/**
 * What is said about a filter expression that cannot be read: what was expected, where, and the place under the text.
 */

/** A filter expression is wrong. `position` is where, in characters from 0; `code` is node's for wrong arguments. */
export class FilterSyntaxError extends TypeError {
  override readonly name: string = 'FilterSyntaxError';
  readonly code: 'ERR_INVALID_ARG_VALUE' = 'ERR_INVALID_ARG_VALUE';
  readonly expression: string;
  readonly position: number;

  constructor(expression: string, position: number, expected: string, found: string) {
    const shown = expression.replace(/[^\x20-\x7e]/g, ' ');
    super(`filter expression, at ${position}: expected ${expected}, found ${found}\n  ${shown}\n  ${caret(position)}`);
    this.expression = expression;
    this.position = position;
  }
}

function caret(position: number): string {
  return `${' '.repeat(position)}^`;
}
