// Helper of rocksdb_store_test: commits runs 1, 2, 3 … and prints each number when it is durable.
#include <cstdio>

#include "storage/rocksdb_checkpoint_store.h"
#include "tests/storage/sample_records.h"

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  auto store = troupe::RocksDbCheckpointStore::Open(argv[1]);
  if (!store) return 1;
  for (std::uint64_t run = 1; run < 1'000'000; ++run) {
    troupe::Batch batch;
    batch.runs = {troupe::SampleRun(run)};
    for (std::uint32_t task = 0; task < run % 10; ++task) {
      batch.tasks.push_back(troupe::SampleTask(run, task));
    }
    if (!(*store)->Commit(batch)) return 1;
    std::printf("%lu\n", static_cast<unsigned long>(run));
    if (std::fflush(stdout) != 0) return 0;
  }
  return 0;
}
