/** docs/operations.md: each operation of the chimney, with the sequence diagram of a run. */
import { CHAPTERS, type Scene } from './scenes.ts';
import { NAMES } from './world.ts';

const HEAD = `# The operations, step by step

Made by \`npm run rules -- --write\`: each diagram is drawn from a run of a real host stack, a real target and a peer on a wire, under virtual
time; not by hand.

An arrow names a call twice: as the caller calls it, and as it arrives at the other end (\`NdisInitiateOffload = MiniportInitiateOffload\`).
NDIS itself stands between any two drivers and is not drawn. Full arrows go down, dashed ones up. Ids in parentheses are
[rules of the contract](rules.md); [every function](ddi.md) has its place in the code.
`;

export function operationsPage(): string {
  const parts = [HEAD];
  for (const { title, scenes } of CHAPTERS) {
    parts.push(`## ${title}\n`);
    for (const scene of scenes) parts.push(sceneText(scene));
  }
  return `${parts.join('\n').trimEnd()}\n`;
}

function sceneText({ title, text, play, names: own = {} }: Scene): string {
  const arrows = play();
  const names: Readonly<Record<string, string>> = { ...NAMES, ...own };
  const there = Object.keys(names).filter((letter) => arrows.some((line) => mentions(line, letter)));
  const lines = [
    'sequenceDiagram',
    ...there.map((letter) => `  participant ${letter} as ${names[letter]}`),
    ...arrows.map((line) => `  ${line}`),
  ];
  return `### ${title}\n\n${text}\n\n\`\`\`mermaid\n${lines.join('\n')}\n\`\`\`\n`;
}

function mentions(line: string, letter: string): boolean {
  return new RegExp(`^(${letter}-|\\w--?>>${letter}:)`).test(line);
}
