/** What the suite reports beside the rules of the contract. */

/** By id: what is expected. */
export const OWN_RULES = {
  BYTES: 'every byte of both streams, once, in order and unchanged, whoever has the connection',
  WIRE: 'segments that a peer can take: right checksums, in their stream, acknowledging what was sent',
  STUCK: 'every operation completed and every list given back, sooner or later',
  THROWN: 'no exception out of a driver',
  VERIFIER: 'a verifier without bugs of its own',
} as const;
export type OwnRule = keyof typeof OWN_RULES;
