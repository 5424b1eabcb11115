/* Numbered migrations. A step, once released, never changes; new ones are appended. */
#include "journal/sqlite_impl.h"

#include <stdio.h>

static const char *const steps[] = {
    /* 1 */
    "CREATE TABLE lease (id INTEGER PRIMARY KEY CHECK (id = 1), owner BLOB, epoch INTEGER NOT NULL,"
    " expires_ms INTEGER NOT NULL);"
    "INSERT INTO lease VALUES (1, NULL, 0, 0);"
    "CREATE TABLE sequence (id INTEGER PRIMARY KEY CHECK (id = 1), seq INTEGER NOT NULL);"
    "INSERT INTO sequence VALUES (1, 0);"
    "CREATE TABLE vals (name BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE rules (rule INTEGER PRIMARY KEY AUTOINCREMENT, name BLOB NOT NULL UNIQUE,"
    " text BLOB NOT NULL, deleting INTEGER NOT NULL DEFAULT 0,"
    " watermark_ms INTEGER NOT NULL DEFAULT 0);"
    /* Live tasks whose oldest_ms is below late_before_ms are counted as late. */
    "CREATE TABLE counts (rule INTEGER PRIMARY KEY, late_before_ms INTEGER NOT NULL DEFAULT 0,"
    " late_objects INTEGER NOT NULL DEFAULT 0, late_bytes INTEGER NOT NULL DEFAULT 0,"
    " pending_objects INTEGER NOT NULL DEFAULT 0, pending_bytes INTEGER NOT NULL DEFAULT 0,"
    " backfill_objects INTEGER NOT NULL DEFAULT 0, backfill_bytes INTEGER NOT NULL DEFAULT 0,"
    " failed_objects INTEGER NOT NULL DEFAULT 0, done_objects INTEGER NOT NULL DEFAULT 0,"
    " done_bytes INTEGER NOT NULL DEFAULT 0, deleted_objects INTEGER NOT NULL DEFAULT 0,"
    " skipped_objects INTEGER NOT NULL DEFAULT 0, sent_bytes INTEGER NOT NULL DEFAULT 0,"
    " retries INTEGER NOT NULL DEFAULT 0, replicas INTEGER NOT NULL DEFAULT 0,"
    " replica_bytes INTEGER NOT NULL DEFAULT 0, latency_sum_s REAL NOT NULL DEFAULT 0);"
    "CREATE TABLE latency (rule INTEGER NOT NULL, bucket INTEGER NOT NULL, n INTEGER NOT NULL,"
    " PRIMARY KEY (rule, bucket)) WITHOUT ROWID;"
    /* next_oldest_ms: the oldest event time of the changes that came while the task was claimed.
     * The rows lie in the order of their arrival, not of their random keys: what is claimed
     * together lies together, and a new key dirties a page of the narrow index instead of one of
     * wide rows. */
    "CREATE TABLE tasks (rule INTEGER NOT NULL, key BLOB NOT NULL, state INTEGER NOT NULL,"
    " origin INTEGER NOT NULL, kind INTEGER NOT NULL, version_id BLOB, etag BLOB, sequencer BLOB,"
    " feed BLOB, size INTEGER NOT NULL, event_ms INTEGER NOT NULL, oldest_ms INTEGER NOT NULL,"
    " next_oldest_ms INTEGER, accepted_ms INTEGER NOT NULL, seq INTEGER NOT NULL,"
    " attempts INTEGER NOT NULL DEFAULT 0, next_try_ms INTEGER NOT NULL DEFAULT 0, fail BLOB,"
    " epoch INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (rule, key));"
    /* By age within every state: claims from both ends, and the frontier as the least of four. */
    "CREATE INDEX tasks_oldest ON tasks (rule, origin, state, oldest_ms);"
    "CREATE INDEX tasks_waiting ON tasks (rule, next_try_ms) WHERE state = 2;"
    "CREATE INDEX tasks_failed ON tasks (rule, key) WHERE state = 3;"
    "CREATE TABLE uploads (rule INTEGER NOT NULL, key BLOB NOT NULL, upload_id BLOB NOT NULL,"
    " state INTEGER NOT NULL, endpoint BLOB, bucket BLOB, dest_key BLOB, source_etag BLOB,"
    " source_version BLOB, source_mtime_ms INTEGER NOT NULL, source_read_ms INTEGER NOT NULL,"
    " size INTEGER NOT NULL, part_size INTEGER NOT NULL, created_ms INTEGER NOT NULL,"
    " next_try_ms INTEGER NOT NULL, attempts INTEGER NOT NULL,"
    " PRIMARY KEY (rule, key, upload_id)) WITHOUT ROWID;"
    "CREATE INDEX uploads_state ON uploads (state, next_try_ms);"
    "CREATE TABLE parts (rule INTEGER NOT NULL, key BLOB NOT NULL, upload_id BLOB NOT NULL,"
    " number INTEGER NOT NULL, size INTEGER NOT NULL, etag BLOB, checksum BLOB,"
    " PRIMARY KEY (rule, key, upload_id, number)) WITHOUT ROWID;"
    "CREATE TABLE replicas (rule INTEGER NOT NULL, key BLOB NOT NULL, source_etag BLOB,"
    " source_version BLOB, source_mtime_ms INTEGER NOT NULL, size INTEGER NOT NULL,"
    " dest_etag BLOB, dest_version BLOB, verified_ms INTEGER NOT NULL,"
    " source_read_ms INTEGER NOT NULL, PRIMARY KEY (rule, key)) WITHOUT ROWID;"
    "CREATE TABLE history (id INTEGER PRIMARY KEY, rule INTEGER NOT NULL, key BLOB NOT NULL,"
    " outcome INTEGER NOT NULL, at_ms INTEGER NOT NULL, latency_ms INTEGER NOT NULL,"
    " bytes INTEGER NOT NULL, fail BLOB);"
    "CREATE INDEX history_key ON history (rule, key, id);"
    "CREATE INDEX history_age ON history (at_ms);",
    /* quarantine: the index holds all that the limits and the watermark ask for. */
    "CREATE TABLE quarantine (id INTEGER PRIMARY KEY AUTOINCREMENT, feed BLOB NOT NULL,"
    " received_ms INTEGER NOT NULL, reason BLOB, body BLOB, size INTEGER NOT NULL,"
    " lost INTEGER NOT NULL);"
    "CREATE INDEX quarantine_feed ON quarantine (feed, received_ms, size, lost);",
    /* versions: all */
    "CREATE TABLE version_marks (rule INTEGER NOT NULL, key BLOB NOT NULL, version_id BLOB,"
    " mtime_ms INTEGER NOT NULL, PRIMARY KEY (rule, key)) WITHOUT ROWID;",
    /* what a complete scan has confirmed, and changes that came later than the watermark */
    "ALTER TABLE rules ADD COLUMN proven_ms INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE counts ADD COLUMN late_changes INTEGER NOT NULL DEFAULT 0;"
    "CREATE TABLE late_changes (id INTEGER PRIMARY KEY, rule INTEGER NOT NULL, key BLOB NOT NULL,"
    " feed BLOB, event_ms INTEGER NOT NULL, accepted_ms INTEGER NOT NULL,"
    " watermark_ms INTEGER NOT NULL);"
    "CREATE INDEX late_changes_rule ON late_changes (rule, id);",
    /* sequencers of replicas; the brake on deletes. The deletes of the last day are counted by
     * the minute, in a ring. */
    "ALTER TABLE replicas ADD COLUMN sequencer BLOB;"
    "ALTER TABLE tasks ADD COLUMN confirmed INTEGER NOT NULL DEFAULT 0;"
    "CREATE INDEX tasks_held ON tasks (rule, key) WHERE state = 4;"
    "ALTER TABLE counts ADD COLUMN held_objects INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE counts ADD COLUMN pending_deletes INTEGER NOT NULL DEFAULT 0;"
    "UPDATE counts SET pending_deletes = (SELECT count(*) FROM tasks WHERE tasks.rule = counts.rule"
    " AND kind = 2 AND state IN (0, 1, 2));"
    "CREATE TABLE brakes (rule INTEGER PRIMARY KEY, since_ms INTEGER NOT NULL, why BLOB NOT NULL);"
    "CREATE TABLE brake_minutes (rule INTEGER NOT NULL, slot INTEGER NOT NULL,"
    " minute INTEGER NOT NULL, deletes INTEGER NOT NULL, PRIMARY KEY (rule, slot)) WITHOUT ROWID;",
    /* watermarks of prefixes: see sqlite_prefix.c */
    "CREATE TABLE prefixes (rule INTEGER NOT NULL, prefix BLOB NOT NULL, mark INTEGER NOT NULL,"
    " watermark_ms INTEGER NOT NULL DEFAULT 0, proven_ms INTEGER NOT NULL DEFAULT 0,"
    " PRIMARY KEY (rule, prefix)) WITHOUT ROWID;"
    "ALTER TABLE rules ADD COLUMN marked_key BLOB;"
    "ALTER TABLE tasks ADD COLUMN mark INTEGER NOT NULL DEFAULT 0;"
    "CREATE INDEX tasks_mark ON tasks (rule, mark, origin, state, oldest_ms) WHERE mark > 0;",
    /* events for others */
    "CREATE TABLE events (number INTEGER PRIMARY KEY AUTOINCREMENT, target BLOB NOT NULL,"
    " kind BLOB NOT NULL, rule INTEGER NOT NULL, optional INTEGER NOT NULL,"
    " only_newest INTEGER NOT NULL, at_ms INTEGER NOT NULL, body BLOB NOT NULL);"
    "CREATE INDEX events_target ON events (target, number);"
    "CREATE INDEX events_optional ON events (target, number) WHERE optional = 1;"
    "CREATE INDEX events_newest ON events (target, rule, kind) WHERE only_newest = 1;"
    "CREATE TABLE event_targets (target BLOB PRIMARY KEY, waiting INTEGER NOT NULL,"
    " dropped INTEGER NOT NULL) WITHOUT ROWID;",
    /* replicas that a scan's listing did not show */
    "CREATE TABLE gone (rule INTEGER NOT NULL, key BLOB NOT NULL, PRIMARY KEY (rule, key))"
    " WITHOUT ROWID;",
    /* versions: all. The newest ones of a key that are done with, the last one has the highest
     * number. */
    "CREATE TABLE versions (rule INTEGER NOT NULL, key BLOB NOT NULL, at INTEGER NOT NULL,"
    " version_id BLOB, etag BLOB, mtime_ms INTEGER NOT NULL, marker INTEGER NOT NULL,"
    " dest_version BLOB, PRIMARY KEY (rule, key, at)) WITHOUT ROWID;"
    "INSERT INTO versions SELECT rule, key, 1, version_id, NULL, mtime_ms, 0, NULL"
    " FROM version_marks;"
    "DROP TABLE version_marks;",
    /* what a body in quarantine may tell of (of those that are there nothing is known), in an index
     * that holds all that is asked often; and who dropped some */
    "ALTER TABLE quarantine ADD COLUMN endpoint BLOB;"
    "ALTER TABLE quarantine ADD COLUMN bucket BLOB;"
    "ALTER TABLE quarantine ADD COLUMN hold_ms INTEGER NOT NULL DEFAULT 0;"
    "DROP INDEX quarantine_feed;"
    "CREATE INDEX quarantine_place ON quarantine (feed, endpoint, bucket, hold_ms, received_ms,"
    " size, lost);"
    "CREATE TABLE quarantine_words (id INTEGER PRIMARY KEY, feed BLOB NOT NULL,"
    " body INTEGER NOT NULL, bodies INTEGER NOT NULL, at_ms INTEGER NOT NULL, who BLOB,"
    " reason BLOB);"
    "CREATE INDEX quarantine_words_feed ON quarantine_words (feed, id);",
    /* when the last Create of an intention was intended */
    "ALTER TABLE uploads ADD COLUMN intended_ms INTEGER NOT NULL DEFAULT 0;"
    "UPDATE uploads SET intended_ms = created_ms;",
};

#define SCHEMA_VERSION ((int)(sizeof(steps) / sizeof(steps[0])))

static int apply_step(sqlite3 *db, int number)
{
    char version[48];
    snprintf(version, sizeof(version), "PRAGMA user_version = %d", number);
    int rc = sqlite3_exec(db, steps[number - 1], NULL, NULL, NULL);
    return rc == SQLITE_OK ? sqlite3_exec(db, version, NULL, NULL, NULL) : rc;
}

/* All steps that are missing in one transaction: a crash leaves the old schema. */
static int apply_steps(sqlite3 *db, const char *path, struct fail *f)
{
    int have = 0;
    int rc = sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL);
    if (rc == SQLITE_OK) {
        rc = sqlite_read_int(db, "PRAGMA user_version", &have);
    }
    while (rc == SQLITE_OK && have < SCHEMA_VERSION) {
        rc = apply_step(db, ++have);
    }
    if (rc == SQLITE_OK) {
        rc = sqlite3_exec(db, "COMMIT", NULL, NULL, NULL);
    }
    if (rc != SQLITE_OK) {
        int r = sqlite_error(db, path, rc, f, "migrating its schema");
        sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
        return r;
    }
    return 0;
}

int sqlite_migrate(sqlite3 *db, const char *path, enum backend_mode mode, struct fail *f)
{
    int have = 0;
    int rc = sqlite_read_int(db, "PRAGMA user_version", &have);
    if (rc != SQLITE_OK) {
        return sqlite_error(db, path, rc, f, "reading its schema version");
    }
    if (have > SCHEMA_VERSION) {
        fail_set(f, REPL_ESCHEMA, "journal %s has schema version %d, this program knows %d", path,
                 have, SCHEMA_VERSION);
        fail_hint(f, "run the newer repld that wrote it, or restore the backup made before it");
        return REPL_ESCHEMA;
    }
    if (have < SCHEMA_VERSION && mode == BACKEND_READER) {
        return fail_set(f, REPL_ESCHEMA, "journal %s has schema version %d, %d is needed", path,
                        have, SCHEMA_VERSION);
    }
    return have < SCHEMA_VERSION ? apply_steps(db, path, f) : 0;
}
