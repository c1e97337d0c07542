import {check} from './check.ts'

/** How much there is, for prose and checks. */
export const USER_COUNT = 1000
export const WORKOUT_COUNT = 120_000

/** The name of the view, as a command line takes it. */
export const VIEW = 'public.leaderboard'

/** Two tables of a fitness app. The same rows on every run: they come from arithmetic, not from random(). */
export const CREATE_TABLES = `
  create table users (
    id integer generated always as identity primary key,
    name text not null
  );
  create table workouts (
    id bigint generated always as identity primary key,
    user_id integer not null,
    kind text not null,
    duration_minutes integer not null check (duration_minutes > 0),
    started_at timestamptz not null default now()
  );

  insert into users (name)
  select first_names[1 + n % 25] || ' ' || last_names[1 + n / 25]
    from string_to_array('Amara Anton Beatriz Chen Dana Elif Femi Greta Hugo Ines Jonas Kavya Leo Mariam '
                         'Nils Olga Priya Quentin Rosa Samir Tomas Uma '
                         'Viktor Wanda Yusuf', ' ') as first_names,
         string_to_array('Abara Becker Castillo Duarte Eriksen Fontaine Gupta Haddad Ivanova Jansen Kimura '
                         'Larsen Moreau Nakamura Okafor Petrov Quispe Rossi Sato Tanaka Ueda Varga Weber Xu '
                         'Yilmaz Zielinska Andersson Brandt Costa Delgado Engel Farah Grau Holm Iqbal Jung '
                         'Keller Lindqvist Meyer Novak', ' ') as last_names,
         generate_series(0, ${USER_COUNT - 1}) as n;

  -- Some train three times as often as others, and who does has nothing to do with the id.
  insert into workouts (user_id, kind, duration_minutes, started_at)
  select 1 + (rank * 367 + 137) % ${USER_COUNT},
         (array['run', 'ride', 'swim', 'strength', 'yoga'])[1 + n % 5],
         15 + n * 7919 % 76,
         timestamptz '2026-01-01 06:00:00Z' + n * interval '2 minutes'
    from generate_series(1, ${WORKOUT_COUNT}) as n
   cross join lateral (select n * 0.6180339887498949 % 1 as share)
   cross join lateral (select floor(${USER_COUNT} * share * (0.3 + 0.7 * share))::int as rank);

  -- Once for all rows, which is faster than a look at each.
  alter table workouts add foreign key (user_id) references users;
  create index on workouts (user_id);
  analyze`

export const CREATE_VIEW = `CREATE MATERIALIZED VIEW leaderboard AS
  SELECT u.id, u.name, COUNT(w.id) AS workout_count, SUM(w.duration_minutes) AS total_minutes
  FROM users u JOIN workouts w ON w.user_id = u.id
  GROUP BY u.id, u.name ORDER BY total_minutes DESC;`

/** A row of the leaderboard; counts are text, as they may exceed what a number holds. */
export interface Standing {
  name: string
  workout_count: string
  total_minutes: string
}

/** Who leads, according to the view. */
export const topOfView = (count: number): string =>
  `select name, workout_count, total_minutes
  from leaderboard
 order by total_minutes desc limit ${count};`

/** Who leads, according to the tables. */
export const topOfTables = (count: number): string =>
  `select u.name, count(*) as workout_count,
       sum(w.duration_minutes) as total_minutes
  from users u join workouts w on w.user_id = u.id
 group by u.id
 order by total_minutes desc limit ${count};`

/**
 * Who has that place, from 1 on.
 * @throws CheckFailure where nobody has
 */
export function nameAt(standings: readonly Standing[], place: number): string {
  const standing = standings[place - 1]
  check(standing !== undefined, `somebody has place ${place}`)
  return standing.name
}

/** A very good month: enough for the second or the third to lead. */
export const logWorkouts = (name: string): string =>
  `insert into workouts (user_id, kind, duration_minutes)
select u.id, 'ride', 90 from users u, generate_series(1, 40)
 where u.name = '${name}';`
