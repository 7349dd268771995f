// A small thread pool: the calling thread works too, workers sleep when there is nothing to do.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <thread>
#include <vector>

namespace kompakt {

class Pool {
 public:
  // `threads` >= 1 counts the calling thread; threads - 1 workers are started.
  explicit Pool(size_t threads);
  ~Pool();
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  size_t threads() const { return workers_.size() + 1; }

  // Calls body(task, worker) for every task in [0, tasks), in any order, and returns when all have returned. `worker`
  // < threads() is different for calls that run at the same time. `body` must not throw. One caller at a time.
  template <typename Body>
  void run(size_t tasks, const Body& body) {
    run_erased(tasks, [](const void* context, size_t task, size_t worker) {
      (*static_cast<const Body*>(context))(task, worker);
    }, &body);
  }

 private:
  using Call = void (*)(const void* context, size_t task, size_t worker);

  void run_erased(size_t tasks, Call call, const void* context);
  void work(size_t worker);
  void take_tasks(size_t worker);
  bool wait_for_job(size_t seen);

  std::mutex mutex_;
  std::condition_variable wake_, done_;
  std::atomic<size_t> job_{0};   // number of jobs posted so far
  std::atomic<bool> stop_{false};
  bool open_ = false;            // guarded: workers may still join the current job
  std::atomic<size_t> active_{0};  // workers inside the current job; changed with the mutex held
  Call call_ = nullptr;          // guarded; constant while a job is open or has active workers
  const void* context_ = nullptr;
  size_t tasks_ = 0;
  std::atomic<size_t> next_{0};
  std::vector<std::thread> workers_;
};

}  // namespace kompakt
