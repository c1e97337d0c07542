/**
 * Stable functions of Postgres whose answer depends on nothing but their arguments and on what a fingerprint
 * holds: settings such as TimeZone, catalogs of text search and user types. All other stable functions forbid
 * skipping. By signature, as `oidvectortypes` writes types.
 */
const ZONED = 'timestamp with time zone'
const LOCAL = 'timestamp without time zone'

const comparisons = (left: string, right: string, types: string): string[] =>
  ['eq', 'ne', 'lt', 'le', 'gt', 'ge', 'cmp'].map((kind) => `${left}_${kind}_${right}(${types})`)

const TIMES: readonly string[] = [
  ...comparisons('date', 'timestamptz', `date, ${ZONED}`),
  ...comparisons('timestamptz', 'date', `${ZONED}, date`),
  ...comparisons('timestamp', 'timestamptz', `${LOCAL}, ${ZONED}`),
  ...comparisons('timestamptz', 'timestamp', `${ZONED}, ${LOCAL}`),
  `date(${ZONED})`,
  `date_add(${ZONED}, interval)`,
  `date_part(text, ${ZONED})`,
  `date_subtract(${ZONED}, interval)`,
  `date_trunc(text, ${ZONED})`,
  `date_trunc(text, ${ZONED}, text)`,
  `extract(text, ${ZONED})`,
  `generate_series(${ZONED}, ${ZONED}, interval)`,
  `in_range(${ZONED}, ${ZONED}, interval, boolean, boolean)`,
  `interval_pl_timestamptz(interval, ${ZONED})`,
  'make_timestamptz(integer, integer, integer, integer, integer, double precision)',
  'make_timestamptz(integer, integer, integer, integer, integer, double precision, text)',
  `overlaps(${ZONED}, interval, ${ZONED}, interval)`,
  `overlaps(${ZONED}, interval, ${ZONED}, ${ZONED})`,
  `overlaps(${ZONED}, ${ZONED}, ${ZONED}, interval)`,
  `time(${ZONED})`,
  `timestamp(${ZONED})`,
  `timestamptz(${LOCAL})`,
  'timestamptz(date)',
  'timestamptz(date, time without time zone)',
  `timestamptz_mi_interval(${ZONED}, interval)`,
  `timestamptz_pl_interval(${ZONED}, interval)`,
  `timetz(${ZONED})`,
  `timezone(${ZONED})`,
  `timezone(${LOCAL})`,
]

const TEXTS: readonly string[] = [
  ...['bigint', 'double precision', 'integer', 'interval', 'numeric', 'real', ZONED, LOCAL].map(
    (type) => `to_char(${type}, text)`,
  ),
  'anytextcat(anynonarray, text)',
  'array_to_string(anyarray, text)',
  'array_to_string(anyarray, text, text)',
  'cash_in(cstring)',
  'concat("any")',
  'concat_ws(text, "any")',
  'enum_in(cstring, oid)',
  'format(text)',
  'format(text, "any")',
  'interval_in(cstring, oid, integer)',
  'money(bigint)',
  'money(integer)',
  'money(numeric)',
  'numeric(money)',
  'quote_literal(anyelement)',
  'quote_nullable(anyelement)',
  'textanycat(text, anynonarray)',
  'to_date(text, text)',
  'to_number(text, text)',
  'to_timestamp(text, text)',
  'xml(text)',
  'xml_in(cstring)',
]

const JSON_FUNCTIONS: readonly string[] = [
  'array_to_json(anyarray)',
  'array_to_json(anyarray, boolean)',
  ...['json', 'jsonb'].flatMap((type) => [
    `${type}_build_array()`,
    `${type}_build_array("any")`,
    `${type}_build_object()`,
    `${type}_build_object("any")`,
    `${type}_agg_finalfn(internal)`,
    `${type}_object_agg_finalfn(internal)`,
    ...['', '_strict'].flatMap((kind) => [
      `${type}_agg${kind}(anyelement)`,
      `${type}_agg${kind}_transfn(internal, anyelement)`,
    ]),
    ...['', '_strict', '_unique', '_unique_strict'].flatMap((kind) => [
      `${type}_object_agg${kind}("any", "any")`,
      `${type}_object_agg${kind}_transfn(internal, "any", "any")`,
    ]),
    `to_${type}(anyelement)`,
  ]),
  'row_to_json(record)',
  'row_to_json(record, boolean)',
]

const SEARCHES: readonly string[] = [
  'json_to_tsvector(json, jsonb)',
  'jsonb_to_tsvector(jsonb, jsonb)',
  'phraseto_tsquery(text)',
  'plainto_tsquery(text)',
  'to_tsquery(text)',
  'to_tsvector(json)',
  'to_tsvector(jsonb)',
  'to_tsvector(text)',
  'ts_match_tq(text, tsquery)',
  'ts_match_tt(text, text)',
  'websearch_to_tsquery(text)',
  ...['json', 'jsonb', 'text'].flatMap((type) => [
    `ts_headline(${type}, tsquery)`,
    `ts_headline(${type}, tsquery, text)`,
  ]),
]

export const REPEATABLE_FUNCTIONS: readonly string[] = [...TIMES, ...TEXTS, ...JSON_FUNCTIONS, ...SEARCHES]

/**
 * Functions that read nothing but the clock: a view that calls no others may be skipped for as long as its
 * user allows.
 */
export const CLOCK_FUNCTIONS: readonly string[] = [
  'now()',
  'statement_timestamp()',
  'transaction_timestamp()',
  'clock_timestamp()',
  'timeofday()',
  `age(${ZONED})`,
  `age(${LOCAL})`,
]
