/**
 * The language of filter expressions, as pcap-filter(7) has it, the part that people use: parsed into tests.
 *
 * Looks inside frames: addresses and names of protocols are those of the wire.
 * As in pcap, `and` and `or` have equal precedence and associate to the left, `not` binds closest, and a bare address or
 * number takes the qualifiers of the primitive before it (`tcp port 80 or 443`). What is accepted and what departs from pcap
 * stands in docs/drivers/filter.md. Promises: a wrong expression is a {@link FilterSyntaxError} that says what was expected and
 * where; nesting is bounded.
 */

import { parseIp } from '../../wire/ip-address.ts';
import { IpPrefix, parsePrefix } from '../../wire/ip-prefix.ts';
import { parseMac } from '../../wire/mac-address.ts';
import { IpProtocol } from '../../wire/protocol.ts';
import { ABSENT, Direction } from './facts.ts';
import { FIELD_CONSTANTS, NAMED_ETHER_TYPES, NAMED_PROTOCOLS } from './names.ts';
import * as make from './primitives.ts';
import { FilterSyntaxError } from './syntax-error.ts';
import { type Token, tokensOf } from './tokens.ts';

type Kind = 'host' | 'net' | 'port' | 'portrange' | 'proto';
type Protocol = 'ether' | 'ip' | 'ip6' | 'arp' | 'tcp' | 'udp' | 'icmp' | 'icmp6';

/** What stands before an address or number. */
interface Qualifiers {
  readonly protocol: Protocol | null;
  readonly side: make.Side;
  readonly kind: Kind;
}

const KINDS: readonly string[] = ['host', 'net', 'port', 'portrange', 'proto'];
const PROTOCOLS: readonly string[] = ['ether', 'ip', 'ip6', 'arp', 'tcp', 'udp', 'icmp', 'icmp6'];
const RELATIONS: readonly string[] = ['==', '=', '!=', '<', '<=', '>', '>='];
const DEPTH_MAX = 64;
const PRIMITIVE = "a primitive such as 'host 10.0.0.1', 'tcp port 80' or '('";

/** The test that an expression spells. An empty one is true of everything. Throws {@link FilterSyntaxError}. */
export function parseExpression(expression: string): make.Test {
  return new Parser(expression).parse();
}

class Parser {
  readonly #expression: string;
  readonly #tokens: Token[];
  #next = 0;
  #depth = 0;
  #last: Qualifiers | null = null;

  constructor(expression: string) {
    this.#expression = expression;
    this.#tokens = tokensOf(expression);
  }

  parse(): make.Test {
    if (this.#token.text === '') return () => make.Answer.YES;
    const test = this.#chain();
    if (this.#token.text !== '') this.#fail("'and', 'or' or the end");
    return test;
  }

  get #token(): Token {
    return this.#tokens[this.#next]!;
  }

  /** Takes the token if it is one of these. */
  #take(...texts: string[]): boolean {
    if (!texts.includes(this.#token.text)) return false;
    this.#next++;
    return true;
  }

  #fail(expected: string, token: Token = this.#token): never {
    throw new FilterSyntaxError(
      this.#expression,
      token.at,
      expected,
      token.text === '' ? 'the end' : `'${token.text}'`,
    );
  }

  #chain(): make.Test {
    let test = this.#term();
    for (;;) {
      if (this.#take('and', '&&')) test = make.and(test, this.#term());
      else if (this.#take('or', '||')) test = make.or(test, this.#term());
      else return test;
    }
  }

  #term(): make.Test {
    if (++this.#depth > DEPTH_MAX) this.#fail(`at most ${DEPTH_MAX} levels of nesting`);
    const test = this.#take('not', '!') ? make.not(this.#term()) : this.#group();
    this.#depth--;
    return test;
  }

  #group(): make.Test {
    if (!this.#take('(')) return this.#primitive();
    const test = this.#chain();
    if (!this.#take(')')) this.#fail("')'");
    return test;
  }

  #primitive(): make.Test {
    const first = this.#token;
    if (!first.isWord) this.#fail(PRIMITIVE);
    if (this.#take('inbound')) return make.direction(Direction.IN);
    if (this.#take('outbound')) return make.direction(Direction.OUT);
    if (this.#take('broadcast')) return make.isEtherBroadcast;
    if (this.#take('multicast')) return make.isEtherMulticast;
    if (this.#take('less')) return make.field('length', -1, '<=', this.#number(65_535));
    if (this.#take('greater')) return make.field('length', -1, '>=', this.#number(65_535));
    if (this.#take('len')) return this.#comparison('length');
    if (this.#take('vlan')) return this.#vlan();
    return this.#qualified();
  }

  #vlan(): make.Test {
    return make.vlan(/^[0-9]/.test(this.#token.text) ? this.#number(4095) : ABSENT);
  }

  /** [protocol] [side] [kind] value, or a protocol alone. */
  #qualified(): make.Test {
    const start = this.#next;
    let protocol: Protocol | null = null;
    if (PROTOCOLS.includes(this.#token.text)) {
      protocol = this.#token.text as Protocol;
      this.#next++;
      if (this.#token.text === '[') return this.#bracketed(protocol);
      if (protocol === 'ether' || protocol === 'ip' || protocol === 'ip6') {
        if (protocol === 'ether' && this.#take('broadcast')) return make.isEtherBroadcast;
        if (this.#take('multicast')) {
          return protocol === 'ether' ? make.isEtherMulticast : make.ipMulticast(protocol === 'ip' ? 4 : 6);
        }
      }
    }
    const side = this.#side();
    const kind = KINDS.includes(this.#token.text) ? (this.#token.text as Kind) : null;
    if (kind !== null) this.#next++;
    else if (side === null && protocol !== null) return this.#alone(protocol, this.#tokens[start]!);
    const isBare = this.#next === start;
    const qualifiers =
      isBare && this.#last !== null ? this.#last : { protocol, side: side ?? 'either', kind: kind ?? 'host' };
    this.#last = qualifiers;
    return this.#value(qualifiers, this.#tokens[start]!);
  }

  /** 'src', 'dst', 'src or dst', 'src and dst'; null: none. */
  #side(): make.Side | null {
    const word = this.#token.text;
    if (word !== 'src' && word !== 'dst') return null;
    this.#next++;
    const other = word === 'src' ? 'dst' : 'src';
    const joint = this.#token.text;
    if ((joint === 'or' || joint === 'and') && this.#tokens[this.#next + 1]?.text === other) {
      this.#next += 2;
      return joint === 'or' ? 'either' : 'both';
    }
    return word;
  }

  #alone(protocol: Protocol, token: Token): make.Test {
    if (protocol === 'ether') this.#fail("'host', 'src', 'dst', 'proto', 'broadcast' or 'multicast' after 'ether'");
    this.#last = null;
    return protocolTest(protocol) ?? this.#fail(PRIMITIVE, token);
  }

  #value(qualifiers: Qualifiers, first: Token): make.Test {
    const { protocol, side, kind } = qualifiers;
    if (kind === 'port' || kind === 'portrange') {
      if (protocol !== null && protocol !== 'tcp' && protocol !== 'udp' && protocol !== 'ip' && protocol !== 'ip6') {
        this.#fail(`'tcp', 'udp' or nothing before '${kind}'`, first);
      }
      const [low, high] = kind === 'port' ? this.#port() : this.#portRange();
      return within(protocol, make.port(side, low, high));
    }
    if (kind === 'proto') return this.#protocolNumber(protocol, first);
    if (protocol === 'ether') {
      if (kind === 'net') this.#fail("'host' after 'ether'", first);
      return make.mac(side, this.#mac());
    }
    if (protocol !== null && protocol !== 'ip' && protocol !== 'ip6' && protocol !== 'arp') {
      this.#fail(`'ip', 'ip6', 'arp', 'ether' or nothing before '${kind}'`, first);
    }
    return within(protocol, make.address(side, kind === 'net' ? this.#net() : this.#host()));
  }

  #word(expected: string): Token {
    const token = this.#token;
    if (!token.isWord) this.#fail(expected);
    this.#next++;
    return token;
  }

  #number(max: number): number {
    const expected = `a number from 0 to ${max}`;
    const token = this.#word(expected);
    const value = numberOf(token.text);
    if (value === null || value > max) this.#fail(expected, token);
    return value;
  }

  #host(): IpPrefix {
    const token = this.#word('an IPv4 or IPv6 address');
    const address = parseIp(token.text);
    if (address === null) this.#fail('an IPv4 or IPv6 address', token);
    return new IpPrefix(address, 8 * address.bytes.length);
  }

  #net(): IpPrefix {
    const expected = "a network such as '10.0.0.0/8' or 'fd00::/64'";
    const token = this.#word(expected);
    const prefix = parsePrefix(token.text);
    if (prefix === null) this.#fail(expected, token);
    if (!prefix.network().equals(prefix.address)) {
      this.#fail(`a network without host bits ('${prefix.network()}/${prefix.length}')`, token);
    }
    return prefix;
  }

  #mac(): Uint8Array {
    const token = this.#word("a MAC address such as '02:00:00:00:00:01'");
    return parseMac(token.text) ?? this.#fail("a MAC address such as '02:00:00:00:00:01'", token);
  }

  #port(): readonly [number, number] {
    const number = this.#number(65_535);
    return [number, number];
  }

  #portRange(): readonly [number, number] {
    const expected = "a range of ports such as '8000-8080'";
    const token = this.#word(expected);
    const parts = token.text.split('-').map(numberOf);
    const [low, high] = parts;
    if (parts.length !== 2 || low == null || high == null || high > 65_535 || low > high) this.#fail(expected, token);
    return [low, high];
  }

  #protocolNumber(protocol: Protocol | null, first: Token): make.Test {
    const expected = 'the name or number of a protocol';
    if (protocol !== null && protocol !== 'ether' && protocol !== 'ip' && protocol !== 'ip6') {
      this.#fail("'ether', 'ip', 'ip6' or nothing before 'proto'", first);
    }
    const token = this.#word(expected);
    const names = protocol === 'ether' ? NAMED_ETHER_TYPES : NAMED_PROTOCOLS;
    const number = names.get(token.text) ?? numberOf(token.text);
    if (number === null || number > (protocol === 'ether' ? 0xffff : 0xff)) this.#fail(expected, token);
    if (protocol === 'ether') return make.etherType(number);
    return make.protocol(number, protocol === null ? 0 : protocol === 'ip' ? 4 : 6);
  }

  /** `tcp[tcpflags] & (tcp-syn|tcp-fin) != 0`; the bracket is next. */
  #bracketed(protocol: Protocol): make.Test {
    this.#next++;
    const token = this.#word("the name of a field, such as 'tcpflags'");
    const name = FIELDS.get(`${protocol}[${token.text}]`);
    if (name === undefined) this.#fail([...FIELDS.keys()].join(', '), token);
    if (!this.#take(']')) this.#fail("']'");
    return this.#comparison(name);
  }

  #comparison(name: make.FieldName): make.Test {
    const mask = this.#take('&') ? this.#constant() : -1;
    const relation = this.#token.text;
    if (!RELATIONS.includes(relation)) this.#fail('a comparison: ==, !=, <, <=, > or >=');
    this.#next++;
    this.#last = null;
    return make.field(name, mask, (relation === '=' ? '==' : relation) as make.Relation, this.#constant());
  }

  /** A number, a name such as tcp-syn, or several joined by '|', in parentheses or not. */
  #constant(): number {
    if (this.#take('(')) {
      const value = this.#constant();
      if (!this.#take(')')) this.#fail("')'");
      return value;
    }
    const expected = "a number, or a name such as 'tcp-syn'";
    let value = 0;
    do {
      const token = this.#word(expected);
      const part = FIELD_CONSTANTS.get(token.text) ?? numberOf(token.text);
      if (part === null) this.#fail(expected, token);
      value |= part;
    } while (this.#take('|'));
    return value;
  }
}

const FIELDS: ReadonlyMap<string, make.FieldName> = new Map<string, make.FieldName>([
  ['tcp[tcpflags]', 'tcpflags'],
  ['tcp[13]', 'tcpflags'],
  ['icmp[icmptype]', 'icmptype'],
  ['icmp[0]', 'icmptype'],
  ['icmp6[icmp6type]', 'icmp6type'],
  ['icmp6[0]', 'icmp6type'],
]);

/** Decimal or 0x; null if it is no number of at most nine digits. */
function numberOf(text: string): number | null {
  return /^(?:[0-9]{1,9}|0[xX][0-9a-fA-F]{1,7})$/.test(text) ? Number(text) : null;
}

function protocolTest(protocol: Protocol): make.Test | null {
  switch (protocol) {
    case 'ip':
      return make.isIp4;
    case 'ip6':
      return make.isIp6;
    case 'arp':
      return make.isArp;
    case 'tcp':
      return make.protocol(IpProtocol.TCP, 0);
    case 'udp':
      return make.protocol(IpProtocol.UDP, 0);
    case 'icmp':
      return make.protocol(IpProtocol.ICMP, 4);
    case 'icmp6':
      return make.protocol(IpProtocol.ICMPV6, 6);
    default:
      return null;
  }
}

/** A primitive of one protocol only. */
function within(protocol: Protocol | null, test: make.Test): make.Test {
  const own = protocol === null ? null : protocolTest(protocol);
  return own === null ? test : make.and(own, test);
}
