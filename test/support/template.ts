import type pg from 'pg'

/** The example that tests share: 50 users, 500 workouts and a populated view without a unique index. */
export async function fillTemplate(client: pg.Client): Promise<void> {
  await client.query(`
    create table users (id serial primary key, name text not null);
    create table workouts (
      id serial primary key,
      user_id int references users,
      duration_minutes int not null
    );
    insert into users (name)
    select 'user ' || n from generate_series(1, 50) n;
    insert into workouts (user_id, duration_minutes)
    select 1 + n * 7 % 50, 10 + n * 13 % 80 from generate_series(1, 500) n;
    create materialized view leaderboard as
    select u.id, u.name, count(w.id) as workout_count, sum(w.duration_minutes) as total_minutes
      from users u
      join workouts w on w.user_id = u.id
     group by u.id, u.name
     order by total_minutes desc;
    analyze;
  `)
}
