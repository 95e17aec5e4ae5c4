/** All peers, in the order of the report. */
import { chimneySubjects } from './chimney/subjects.ts';
import { gvisorSubjects } from './gvisor/subjects.ts';
import { kernelSubjects } from './kernel/subjects.ts';
import { lwipSubjects } from './lwip/subjects.ts';
import { nodeSubjects } from './node/subjects.ts';
import { passtSubjects } from './passt/subjects.ts';
import { slirpSubjects } from './slirp4netns/subjects.ts';
import type { Subject } from './subject.ts';

export const subjects: readonly Subject[] = [
  ...kernelSubjects,
  ...nodeSubjects,
  ...chimneySubjects,
  ...lwipSubjects,
  ...gvisorSubjects,
  ...slirpSubjects,
  ...passtSubjects,
];
