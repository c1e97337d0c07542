import {describe, expect, test} from 'vitest'
import {isPlainExpression} from '../../../../src/db/trust/plain-expression.ts'

describe('an expression that runs nothing but comparisons, constants, the clock and random ids', () => {
  test.each([
    'gen_random_uuid()',
    'now()',
    'CURRENT_TIMESTAMP',
    "'public'::character varying",
    "'{}'::jsonb",
    "'it''s evil.spring()'::text",
    'true',
    '3',
    '(max_attempts >= 1)',
    "((refresh_mode)::text = ANY ((ARRAY['standard'::character varying, 'concurrent'::character varying])::text[]))",
    "((schema_name)::text ~ '^[A-Za-z_][A-Za-z0-9_]*$'::text)",
    "((state)::text <> ALL (ARRAY['a'::text, 'b'::text]))",
    'COALESCE(completed_at, canceled_at, updated_at)',
    '(idempotency_key IS NOT NULL)',
    "(enabled AND ((job_type)::text = 'materialized_view_refresh'::text))",
    '(length_of IS NULL)',
    "'x'::character varying(63)",
    "'2020-01-01 00:00:00+00'::timestamp with time zone",
  ])('is taken: %s', (expression) => {
    expect(isPlainExpression(expression)).toBe(true)
  })

  test.each([
    "evil.spring('x'::text)",
    "query_to_xml('select evil.spring(1)'::text, true, true, ''::text)",
    "(view_name OPERATOR(evil.=) 'x'::text)",
    "('x'::evil.range)",
    'lower((view_name)::text)',
    'pg_sleep((1)::double precision)',
    'now() - now()',
    "nextval('evil.pulls'::regclass)",
    'CURRENT_USER',
    '"Evil"(1)',
    'any_name(1)',
    'text(view_name)',
    '(_ayb_jobs.*)::text',
    'view_name COLLATE evil.c',
    "now('x')",
    'xnow()',
    "text'x'",
    "E'\\\\'::text; evil",
    '$1',
    'OPERATOR',
  ])('is refused: %s', (expression) => {
    expect(isPlainExpression(expression)).toBe(false)
  })

  test('takes no longer than its length allows', () => {
    const long = `(${"'x'::text = 'y'::text AND ".repeat(20_000)}evil.f())`
    const startedAt = performance.now()
    expect(isPlainExpression(long)).toBe(false)
    expect(isPlainExpression("'".repeat(100_001))).toBe(false)
    expect(performance.now() - startedAt).toBeLessThan(2000)
  })
})
