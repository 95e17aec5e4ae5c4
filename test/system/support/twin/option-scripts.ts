/** What the options of a SYN may be, and what they may not; and the header around them. RFC 9293 3.1, 3.2, 3.7.1; RFC 7323; RFC 2018. */
import { type Packets, type Script, type Step, segment } from './script.ts';

const bytes = (hex: string): Uint8Array => Uint8Array.from(hex.match(/../g) ?? [], (two) => Number.parseInt(two, 16));

/** A SYN with these bytes of option. */
const syn = (hex: string): Packets => segment('S 0:0(0) win 65535', { options: bytes(hex) });

/** After the handshake: text both ways. */
const TALK: readonly string[] = [
  '< . 1:1(0) ack 1 win 65535',
  '< P. 1:11(10) ack 1 win 65535',
  'write 4000',
  '< . 11:11(0) ack 4001 win 65535',
];

const passive = (name: string, ...steps: Step[]): Script => ({ name, steps: [...steps, ...TALK] });

/** Options of a SYN for a listener, byte by byte. */
const SYNS: readonly (readonly [name: string, hex: string])[] = [
  ['no options', ''],
  ['an MSS', '02040400'],
  ['an MSS of 0', '02040000'],
  ['an MSS of 64', '02040040'],
  ['an MSS of 536', '02040218'],
  ['an MSS of 65535', '0204ffff'],
  ['an MSS with a length of 3', '02030400'],
  ['an MSS with a length of 6', '0206040000000000'],
  ['an MSS with a length of 0', '02000400'],
  ['an MSS with a length of 1', '02010400'],
  ['an MSS with a length beyond the header', '02080400'],
  ['two MSS, the second counts', '0204040002040300'],
  ['an MSS behind the end of the list', '0000000002040400'],
  ['NOPs only', '01010101'],
  ['an unknown option before the MSS', 'fd04123402040400'],
  ['an unknown option of length 0 before the MSS', 'fd00123402040400'],
  ['an unknown option of length 1 before the MSS', 'fd01020402040400'],
  ['an unknown option of length 2 before the MSS', 'fd02010102040400'],
  ['an option cut off in its kind', '020404000101fdfd'],
  ['a window scale', '0204040001030307'],
  ['a window scale of 14', '020404000103030e'],
  ['a window scale of 15', '020404000103030f'],
  ['a window scale of 255', '02040400010303ff'],
  ['a window scale with a length of 4', '0204040003040700'],
  ['SACK permitted', '0204040001010402'],
  ['SACK permitted with a length of 3', '0204040001040300'],
  ['a SACK block in the SYN', '020404000101050a0000000100000002'],
  ['timestamps', '020404000101080a0000006400000000'],
  ['timestamps that echo something', '020404000101080a0000006400000032'],
  ['timestamps with a length of 8', '02040400010108080000006401010101'],
  ['timestamps of 0', '020404000101080a0000000000000000'],
  ['everything at once', '020404000402080a000000640000000001030307'],
  ['forty bytes of them', '020404000402080a0000006400000000010303070101010101010101010101010101010101010101'],
  ['MPTCP, TCP-AO and Fast Open', '020404001e0c0081000000000000000122020101'],
  ['a signature (MD5)', '02040400131200112233445566778899aabbccddeeff0101'],
];

const withTimestamps = (hex: string): boolean => hex.includes('080a') && !hex.includes('0808');

/** Timestamps, once agreed on, are in every segment. */
function talkFor(hex: string): readonly string[] {
  if (!withTimestamps(hex)) return TALK;
  return TALK.map((step, i) => (step.startsWith('<') ? `${step} <TS val ${101 + i} ecr last>` : step));
}

const OFFERS: readonly (readonly [name: string, hex: string])[] = [
  ['no options', ''],
  ['an MSS of 1000', '020403e8'],
  ['an MSS of 0', '02040000'],
  ['a window scale of 14', '020403e80103030e'],
  ['a window scale of 200', '020403e8010303c8'],
  ['SACK permitted', '020403e801010402'],
  ['everything', '020403e80402080a000000640000000001030302'],
];

/** All of them. */
export function optionScripts(): Script[] {
  return [
    ...SYNS.map(([name, hex]) => ({ name: `a SYN with ${name}`, steps: [syn(hex), ...talkFor(hex)] })),
    ...OFFERS.map(([name, hex]) => ({
      name: `a SYN,ACK with ${name}`,
      steps: [
        'connect',
        segment('S. 0:0(0) ack 1 win 65535', { options: bytes(hex) }),
        ...talkFor(hex).filter((_, i) => i > 0),
      ],
    })),
    {
      name: 'IPv6: no MSS',
      family: 6,
      steps: [syn(''), ...TALK],
    },
    {
      name: 'IPv6: everything',
      family: 6,
      steps: [syn('020405a00402080a000000640000000001030307'), ...talkFor('080a')],
    },
    passive(
      'options of a SYN in another segment',
      '< S 0:0(0) win 65535 <mss 1000>',
      segment('. 1:1(0) ack 1 win 100', { options: bytes('0204006401030301040201010101').slice(0, 12) }),
    ),
    passive(
      'a window scale in the ACK of the handshake',
      '< S 0:0(0) win 65535 <mss 1000,wscale 3>',
      segment('. 1:1(0) ack 1 win 10', { options: bytes('01030305') }),
    ),
    {
      name: 'a window that is scaled',
      steps: [
        '< S 0:0(0) win 1000 <mss 1000,wscale 3>',
        '< . 1:1(0) ack 1 win 250',
        'write 6000',
        '< . 1:1(0) ack 2001 win 1',
        '< . 1:1(0) ack 2009 win 500',
      ],
    },
    {
      name: 'a window in a SYN is not scaled',
      steps: ['connect', '< S. 0:0(0) ack 1 win 1500 <mss 1000,wscale 7>', 'write 6000', '< . 1:1(0) ack 1001 win 20'],
    },
    passive(
      'a data offset below five words',
      segment('S 0:0(0) win 65535', { twist: offset(4) }),
      '< S 0:0(0) win 65535 <mss 1000>',
    ),
    passive(
      'a data offset beyond the segment',
      segment('S 0:0(0) win 65535', { twist: offset(12) }),
      '< S 0:0(0) win 65535 <mss 1000>',
    ),
    passive(
      'a wrong checksum',
      segment('S 0:0(0) win 65535', { badChecksum: true }),
      '< S 0:0(0) win 65535 <mss 1000>',
    ),
    passive(
      'reserved bits',
      segment('S 0:0(0) win 65535', {
        twist: (bytes) => {
          bytes[12]! |= 0x0e;
        },
      }),
    ),
    passive(
      'a source port of 0',
      segment('S 0:0(0) win 65535', {
        twist: (bytes) => {
          bytes[0] = 0;
          bytes[1] = 0;
        },
      }),
      '< S 0:0(0) win 65535 <mss 1000>',
    ),
    passive('a SYN that asks for ECN', '< SEW 0:0(0) win 65535 <mss 1000>'),
    {
      name: 'text in a SYN',
      steps: ['< S 0:10(10) win 65535 <mss 1000>', '< P. 1:11(10) ack 1', '< P. 11:21(10) ack 1'],
    },
    {
      name: 'the ACK of the handshake with text and FIN',
      steps: ['< S 0:0(0) win 65535 <mss 1000>', '< FP. 1:11(10) ack 1', 'write 5', 'close'],
    },
    {
      name: 'a SYN twice',
      steps: ['< S 0:0(0) win 65535 <mss 1000>', '< S 0:0(0) win 65535 <mss 1000>', '< . 1:1(0) ack 1'],
    },
    {
      name: 'a SYN again with another number',
      steps: [
        '< S 0:0(0) win 65535 <mss 1000>',
        '< S 100000:100000(0) win 65535 <mss 1000>',
        '< . 100001:100001(0) ack 1',
        '< . 1:1(0) ack 1',
      ],
    },
    {
      name: 'a SYN,ACK twice',
      steps: [
        'connect',
        '< S. 0:0(0) ack 1 win 65535 <mss 1000>',
        '< S. 0:0(0) ack 1 win 65535 <mss 1000>',
        '< S. 77:77(0) ack 1 win 65535 <mss 1000>',
        'write 10',
      ],
    },
    {
      name: 'half open: the peer has forgotten',
      steps: [
        '< S 0:0(0) win 65535 <mss 1000>',
        '< . 1:1(0) ack 1',
        '< S 5000000:5000000(0) win 65535 <mss 1000>',
        '< R 1:1(0)',
        '< S 5000000:5000000(0) win 65535 <mss 1000>',
        '< . 5000001:5000001(0) ack 1',
      ],
    },
    { name: 'nobody answers but a reset', steps: ['connect', '< R. 0:0(0) ack 1'] },
    {
      name: 'a reset without ACK for an open',
      steps: [
        'connect',
        '< R 0:0(0)',
        '< R. 0:0(0) ack 2',
        '< R. 0:0(0) ack 0',
        '< S. 0:0(0) ack 1 win 65535 <mss 1000>',
        'write 10',
      ],
    },
  ];
}

function offset(words: number): (segment: Uint8Array) => void {
  return (segment) => {
    segment[12] = (words << 4) | (segment[12]! & 15);
  };
}
