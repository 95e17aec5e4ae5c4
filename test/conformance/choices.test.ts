import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { SeededRandom } from '../../src/base/random.ts';
import {
  type Choices,
  Frontier,
  formatChoices,
  ListChooser,
  parseChoices,
  RandomChooser,
} from '../../src/conformance/choices.ts';

describe('choice lists', () => {
  test('their text leads back to them', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 5 }))), (steps) => {
        const list: number[] = [];
        let point = -1;
        for (const [gap, option] of steps) {
          point += gap;
          list.push(point, option);
        }
        expect(parseChoices(formatChoices(list))).toEqual(list);
      }),
    );
  });

  test.each(['x', '1', '1:0', '2:1,2:1', '3:1,2:1', '1:1,'])("'%s' is no choice list", (text) => {
    expect(parseChoices(text)).toBeNull();
  });

  test('a run by lot is told by a list that repeats it', () => {
    const lot = new RandomChooser(new SeededRandom(5));
    const options = [2, 3, 4, 2, 5, 3, 2];
    const made = options.map((count) => lot.choose(count));
    const again = new ListChooser(lot.choices);
    expect(options.map((count) => again.choose(count))).toEqual(made);
    expect(again.hasDiverged).toBe(false);
  });

  test('a list that names an option that there is not says so', () => {
    const chooser = new ListChooser([0, 4]);
    expect(chooser.choose(2)).toBe(0);
    expect(chooser.hasDiverged).toBe(true);
  });
});

/** A tree of choices: how many options there are depends on what was chosen before. */
function play(list: Choices): { path: string; options: readonly number[] } {
  const chooser = new ListChooser(list);
  let path = '';
  for (let depth = 0; depth < 4; depth++) path += chooser.choose(2 + ((path.length + Number(path.at(-1) ?? 0)) % 2));
  return { path, options: chooser.options };
}

describe('the frontier', () => {
  test('gives out every path of a tree of choices once, the least deviant first', () => {
    const paths: string[] = [];
    const frontier = new Frontier(1000);
    for (let list = frontier.next(); list !== undefined; list = frontier.next()) {
      const { path, options } = play(list);
      paths.push(path);
      frontier.grow(list, options);
    }
    const all: string[] = [];
    const visit = (path: string): void => {
      if (path.length === 4) all.push(path);
      else for (let i = 0; i < 2 + ((path.length + Number(path.at(-1) ?? 0)) % 2); i++) visit(path + i);
    };
    visit('');
    expect([...paths].sort()).toEqual(all.sort());
    const deviations = paths.map((path) => [...path].reduce((sum, digit) => sum + Number(digit), 0));
    expect(deviations).toEqual([...deviations].sort((a, b) => a - b));
    expect(frontier.completeTo).toBe(Number.POSITIVE_INFINITY);
  });

  test('says up to which deviation it was complete when it was cut off', () => {
    const frontier = new Frontier(6);
    for (let i = 0; i < 7; i++) {
      const list = frontier.next()!;
      frontier.grow(list, play(list).options);
    }
    expect(frontier.completeTo).toBeGreaterThanOrEqual(1);
    expect(frontier.completeTo).toBeLessThan(4);
  });
});
