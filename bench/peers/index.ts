/** All peers, in the order of the report. */
import { chimneySubjects } from './chimney/subjects.ts';
import { kernelSubjects } from './kernel/subjects.ts';
import { nodeSubjects } from './node/subjects.ts';
import type { Subject } from './subject.ts';

export const subjects: readonly Subject[] = [...kernelSubjects, ...nodeSubjects, ...chimneySubjects];
