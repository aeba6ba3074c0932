/** Every reason that a Problem can have. A test holds each against a heading of docs/problems.md. */
export const problemReasons = [
  // reading files
  'FileUnreadable',
  'FileTooLarge',
  'FileNotText',
  'SyntaxError',
  'NotAnObject',
  'DuplicateObject',
  'KindIgnored',
  'UnknownVersion',
  // decoding
  'FieldMissing',
  'FieldInvalid',
  'FieldUnknown',
  // references
  'RouteNotFound',
  'MatchNotFound',
  'IdentityBindingNotFound',
  'KindUnsupported',
  'NamespaceMismatch',
  'SourcesEmpty',
  'RulesEmpty',
  // matches
  'RegexInvalid',
  'RegexUnsupported',
  'RegexTooLarge',
  'DuplicateMatch',
  // ports and services
  'ServicePortMeant',
  'ServiceAccountUnused',
  'PortUnresolved',
  'ProtocolUnsupported',
  'ProtocolConflict',
  'ServiceUnsupported',
  // splits
  'RootInvalid',
  'RootNotFound',
  'SplitConflict',
  'BackendNotFound',
  'BackendPortMissing',
  'BackendsEmpty',
  'WeightsAllZero',
  'WeightInvalid',
  'BackendNotAllowed',
  'UdpNotEnforced',
  // running on a laptop
  'ProgramMissing',
  'PortConflict',
  'ValueUnresolved',
  // the data plane
  'ConfigRefused',
] as const;

export type ProblemReason = (typeof problemReasons)[number];
