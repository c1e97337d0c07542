import {describe, expect, test} from 'vitest'
import {expectDocument, expectText, runScenario, SCENARIO_TABLE} from '../support/error-scenarios.ts'

describe('an error as text and as JSON alike', () => {
  test.each(SCENARIO_TABLE)('$what', {timeout: 60_000}, async (scenario) => {
    const [text, json] = await runScenario(scenario, [[], ['--json']])
    expectText(text, scenario)
    expectDocument(json, scenario)
    expect(json?.code).toBe(text?.code)
  })
})
