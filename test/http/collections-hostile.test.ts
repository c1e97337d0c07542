import type pg from 'pg'
import {afterAll, beforeAll, beforeEach, describe, expect, test} from 'vitest'
import type {Reader} from '../../src/db/reader.ts'
import {openLogin, readOf, refusalOf} from '../support/collections.ts'
import {createTestDatabase, type TestDatabase} from '../support/database.ts'
import {marksOf, resetMarks, safeSession, springs, wasPulled} from '../support/springs.ts'

/** A type whose casts, operators and checks are its owner's functions. */
const TYPES = `
  create type evil.mood as enum ('sad', 'happy');
  create type evil.pair as (a int, b evil.mood);
  create domain evil.money as int;
  create domain evil.gloom as evil.mood;

  create function evil.pair_json(evil.pair) returns json language sql as
  $$ select to_json(evil.spring('pair to json')) $$;
  create function evil.pair_text(evil.pair) returns text language sql as $$ select evil.spring('pair to text') $$;
  create function evil.mood_json(evil.mood) returns json language sql as
  $$ select to_json(evil.spring('mood to json')) $$;
  create function evil.mood_text(evil.mood) returns text language sql as $$ select evil.spring('mood to text') $$;
  create function evil.to_mood(text) returns evil.mood language sql as
  $$ select 'sad'::evil.mood from evil.spring('text to mood') $$;
  create cast (evil.pair as json) with function evil.pair_json(evil.pair);
  create cast (evil.pair as text) with function evil.pair_text(evil.pair) as implicit;
  create cast (evil.mood as json) with function evil.mood_json(evil.mood);
  create cast (evil.mood as text) with function evil.mood_text(evil.mood) as implicit;
  create cast (text as evil.mood) with function evil.to_mood(text) as implicit;

  create function evil.same(evil.mood, evil.mood) returns bool language sql as
  $$ select evil.spring('mood = mood') is not null $$;
  create function evil.same(evil.mood, text) returns bool language sql as
  $$ select evil.spring('mood = text') is not null $$;
  create function evil.same(int, int) returns bool language sql as $$ select evil.spring('int = int') is not null $$;
  create function evil.less(evil.mood, evil.mood) returns bool language sql as
  $$ select evil.spring('mood < mood') is not null $$;
  create operator evil.= (leftarg = evil.mood, rightarg = evil.mood, function = evil.same);
  create operator evil.= (leftarg = evil.mood, rightarg = text, function = evil.same);
  create operator evil.= (leftarg = int, rightarg = int, function = evil.same);
  create operator evil.< (leftarg = evil.mood, rightarg = evil.mood, function = evil.less);
  create operator evil.> (leftarg = evil.mood, rightarg = evil.mood, function = evil.less);`

const VIEW = `
  create materialized view evil.bait as
  select n as id, n::evil.money as price, row(n, 'sad')::evil.pair as pair, 'happy'::evil.mood as mood,
         'sad'::evil.gloom as gloom, array['sad', 'happy']::evil.mood[] as moods,
         array[row(n, 'happy')]::evil.pair[] as pairs, array[n]::evil.money[] as prices
    from generate_series(1, 3) n;
  grant select on evil.bait to public;
  alter domain evil.money add constraint checked check (evil.spring('check ' || value) is not null) not valid;
  create function evil.to_json(anyelement) returns json language sql as
  $$ select '1'::json from evil.spring('to_json') $$;
  create function evil.format(text, evil.mood) returns text language sql as $$ select evil.spring('format') $$;`

describe('the view of a role that wants ours', {timeout: 60_000}, () => {
  let server: TestDatabase
  let safe: pg.Client
  let db: Reader
  let mallory: Awaited<ReturnType<TestDatabase['createRole']>>

  beforeAll(async () => {
    server = await createTestDatabase()
    safe = await safeSession(server)
    mallory = await server.createRole('mallory')
    await safe.query(springs(mallory.name))
    await safe.query(`set role ${mallory.name}; ${TYPES}; ${VIEW}; reset role`)
    const victim = await server.createRole('victim', {settings: {search_path: ['evil', 'public']}})
    db = await openLogin(victim.url, server.url)
  })

  beforeEach(() => resetMarks(safe))

  afterAll(async () => {
    await db.close()
  })

  test.each([
    ['a composite as json', 'select to_json(pair) from evil.bait', 'mood to json'],
    ['an enum as json', 'select to_json(mood) from evil.bait', 'mood to json'],
    ['an enum as text', 'select mood::text from evil.bait', 'mood to text'],
    ['a composite as text', 'select pair::text from evil.bait', 'pair to text'],
    ['a value as a domain', 'select 7::evil.money', 'check 7'],
    ['an enum compared', "select mood operator(evil.=) 'sad'::text from evil.bait", 'mood = text'],
    ['an enum in a range', "select mood operator(evil.<) 'sad'::evil.mood from evil.bait", 'mood < mood'],
  ])('runs its code when somebody else reads carelessly: %s', async (_, sql, mark) => {
    await safe.query(sql)
    expect(await marksOf(safe)).toContainEqual({what: mark, who: server.user})
  })

  test('runs none when its rows are read, filtered and sorted', async () => {
    const {items} = await readOf(db, 'evil.bait', {sort: 'mood,-gloom,price', perPage: '1'})
    expect(items).toEqual([
      {
        id: 1,
        price: 1,
        pair: '(1,sad)',
        mood: 'happy',
        gloom: 'sad',
        moods: ['sad', 'happy'],
        pairs: ['(1,happy)'],
        prices: [1],
      },
    ])
    for (const query of [
      {mood: 'happy', gloom: 'sad'},
      {'mood[ne]': 'sad', 'pair[null]': 'false', 'moods[null]': 'false'},
      {price: '2'},
      {'price[gte]': '-1', 'price[lt]': '7', sort: '-price'},
    ]) {
      expect((await readOf(db, 'evil.bait', query)).totalItems).toBeGreaterThan(0)
    }
    for (const query of [
      {pair: '(1,sad)'},
      {'mood[lt]': 'happy'},
      {moods: '{sad}'},
      {prices: '{1}'},
      {sort: 'pair'},
      {sort: 'moods'},
      {sort: 'prices'},
      {price: 'x'},
    ]) {
      expect(await refusalOf(db, 'evil.bait', query)).toMatchObject({code: 'INVALID_ARGUMENT'})
    }
    expect(await marksOf(safe)).toEqual([])
    expect(await wasPulled(safe)).toBe(false)
  })
})
