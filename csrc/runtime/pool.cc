#include "runtime/pool.h"

#include "runtime/float_mode.h"

namespace kompakt {
namespace {

// About 10 microseconds: long enough to bridge the gap between two layers, short enough not to take the CPU from
// others when the machine is busy.
constexpr int kSpins = 300;

inline void relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#else
  std::this_thread::yield();
#endif
}

}  // namespace

Pool::Pool(size_t threads) {
  try {
    for (size_t i = 1; i < threads; ++i) workers_.emplace_back([this, i] { work(i); });
  } catch (...) {  // the system refused a thread: end those that started, then report
    stop_ = true;
    wake_.notify_all();
    for (std::thread& worker : workers_) worker.join();
    throw;
  }
}

Pool::~Pool() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stop_ = true;
  }
  wake_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void Pool::run_erased(size_t tasks, Call call, const void* context) {
  if (workers_.empty() || tasks <= 1) {
    for (size_t task = 0; task < tasks; ++task) call(context, task, 0);
    return;
  }
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    call_ = call;
    context_ = context;
    tasks_ = tasks;
    next_.store(0, std::memory_order_relaxed);
    open_ = true;
    job_.fetch_add(1, std::memory_order_release);
  }
  wake_.notify_all();
  take_tasks(0);
  // A worker that comes late finds the job closed; only those inside are waited for.
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    open_ = false;
  }
  for (int i = 0; i < kSpins; ++i) {
    if (active_.load(std::memory_order_acquire) == 0) return;
    relax();
  }
  std::unique_lock<std::mutex> lock(mutex_);
  done_.wait(lock, [this] { return active_ == 0; });
}

void Pool::take_tasks(size_t worker) {
  for (;;) {
    const size_t task = next_.fetch_add(1, std::memory_order_relaxed);
    if (task >= tasks_) return;
    call_(context_, task, worker);
  }
}

bool Pool::wait_for_job(size_t seen) {
  for (int i = 0; i < kSpins; ++i) {
    if (job_.load(std::memory_order_acquire) != seen || stop_) return !stop_;
    relax();
  }
  std::unique_lock<std::mutex> lock(mutex_);
  wake_.wait(lock, [&] { return job_.load(std::memory_order_relaxed) != seen || stop_; });
  return !stop_;
}

void Pool::work(size_t worker) {
  const FloatMode mode;
  size_t seen = 0;
  while (wait_for_job(seen)) {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      seen = job_.load(std::memory_order_relaxed);
      if (!open_) continue;
      ++active_;
    }
    take_tasks(worker);
    const std::lock_guard<std::mutex> lock(mutex_);
    if (--active_ == 0) done_.notify_one();
  }
}

}  // namespace kompakt
