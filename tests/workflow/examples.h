// Whole workflow files, for tests.
#pragma once

namespace troupe {

inline constexpr const char* kMigration = R"(name: "Database Migration"
version: "1.0.0"
workflows:
  migrate:
    hooks:
      pre_workflow:
        - command: "mkdir -p out && echo 'table users: 3 rows' > out/before.sql"
          description: "Backup database before migration"
      post_workflow:
        - command: "echo \"$WORKFLOW_NAME: $WORKFLOW_STATUS\""
      on_error:
        - command: "cp out/before.sql out/restored.sql"
        - "echo \"migration failed: $WORKFLOW_ERROR\""
agents:
  migrator:
    description: "The third attempt works"
    provider: mock
    mock: {fail_times: 2, output: "3 migrations applied"}
    tools: [Bash, Read, Write]
tasks:
  run_migrations:
    agent: migrator
    description: "Apply database migrations"
    output: out/migrations.log
    on_error:
      retry: 2
      retry_delay_secs: 0.1
)";

inline constexpr const char* kDataSync = R"(name: "Data Sync"
agents:
  primary_api:
    command: "echo 'connection refused' >&2; exit 1"
    tools: [WebFetch, Write]
  secondary_api: {command: "cat > /dev/null; echo ann,bob"}
  data_writer: {command: "sed -n 's/^.*database: /stored: /p'"}
tasks:
  fetch_user_data:
    agent: primary_api
    description: "Fetch user data from API"
    on_error: {retry: 3, retry_delay_secs: 0.1, fallback_agent: secondary_api}
  sync_to_database:
    agent: data_writer
    description: "Write data to database: ${task.fetch_user_data.output}"
    depends_on: [fetch_user_data]
    output: out/users.txt
    on_error:
      retry: 5  # Retry database writes more aggressively
)";

inline constexpr const char* kTraining = R"(name: "Training"
inputs: {epochs: {type: integer, default: 2}}
outputs: {accuracy: {source: {type: task_output, task: evaluate}}}
workflows:
  training:
    hooks:
      pre_workflow: [{command: "echo $EPOCHS", env: {EPOCHS: "${workflow.epochs}"}}]
agents:
  trainer:
    command: |
      if [ "$TROUPE_ATTEMPT" = 1 ]; then exit 75; fi
      echo '{"text": "trained"}' > "$TROUPE_RESULT_FILE"
    timeout_secs: 60
tasks:
  train:
    agent: trainer
    description: "Train for ${workflow.epochs} epochs"
    set: {accuracy: "${task.result.accuracy}"}
    on_complete:
      notify: "Done: ${task.result.accuracy}"
  evaluate:
    depends_on: [train]
    command: [echo, "${task.train.result.accuracy}"]
  package:
    depends_on: [train]
    condition: {type: state_equals, key: accuracy, value: 95}
    script:
      language: sh
      env: {FIRST: "${task.train.result.classes[0]}"}
      content: |
        echo "first class: ${FIRST}"
)";

inline constexpr const char* kFanOut = R"(name: fan-out
agents:
  describer: {command: cat}
tasks:
  describe:
    agent: describer
    description: "${city.name} in ${city.country}"
    on_error: {retry: 2, retry_delay_secs: 0.1}
    loop:
      type: for_each
      iterator: city
      collection:
        source: inline
        items: [{name: Paris, country: France}]
  squares:
    command: {executable: sh, args: [-c, 'echo $(($1 * $1))', sh, "${n}"]}
    loop: {type: for_each, iterator: n, collection: {source: range, start: 0, end: 6, step: 2}}
  report:
    depends_on: [describe, squares]
    command: [printf, '%s\n%s\n', "${task.describe.output}", "${task.squares.output}"]
    output: out/report.txt
)";

inline constexpr const char* kStages = R"(name: "Stages and hooks"
description: Three stages, each with its hook
tasks:
  fetch:
    command: "echo v1.4"
  tests:
    description: A parent
    priority: 1
    subtasks:
      unit: {command: "echo 12 passed"}
      lint: {script: {language: sh, content: "echo clean"}, on_error: skip}
  deploy:
    command: [echo, "deploy ${task.fetch.output}: ${task.tests.unit.output}"]
  rollback:
    command: "echo nothing to do"
    condition: {type: task_status, task: tests, status: skipped}
workflows:
  release:
    steps:
      - {stage: prepare, tasks: [fetch]}
      - {stage: check, tasks: [tests], depends_on: [prepare], mode: parallel}
      - {stage: ship, tasks: [deploy, rollback], depends_on: [check]}
    hooks:
      on_stage_complete:
        - {command: "sleep 1", description: slow_audit, async: true, timeout_secs: 20}
        - 'echo "$WORKFLOW_STAGE" >> out/log.txt'
  check_only:
    steps:
      - {stage: fetch, tasks: [fetch]}
      - {stage: check, tasks: [tests], depends_on: [fetch]}
)";

inline constexpr const char* kLadder = R"(name: "Retry, then fall back"
version: "1.2"
recovery: {retry_budget: 10}
on_error: {retry: 1, retry_delay_secs: 0.1, on_exhausted: continue}
agents:
  fast: {provider: mock, mock: {fail_times: always, class: timeout}}
  wide: {provider: mock, mock: {fail_times: always, class: invalid_request}}
  careful: {command: "cat; echo '(attempt '$TROUPE_ATTEMPT')'"}
  locked: {command: "exit 77"}
tasks:
  draft:
    agent: fast
    description: "Write a draft"
    on_error: {retry: 2, exponential_backoff: true, fallback_agent: [wide, careful]}
  review:
    agent: careful
    description: "Review: ${task.draft.output}"
    depends_on: [draft]
  import:
    agent: locked
    description: "Import the archive"
  merge:
    command: "echo merged"
    depends_on: [review, import]
  cleanup:
    command: [echo, "import ended: ${task.import.error}"]
    depends_on: [import]
    condition: {type: task_status, task: import, status: failed}
hooks:
  on_error: ['echo "$WORKFLOW_ERROR"']
)";

}  // namespace troupe
