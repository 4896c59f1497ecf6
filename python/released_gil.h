// The global interpreter lock, given up for as long as C++ computes.
#pragma once

#include <pybind11/pybind11.h>
#include <unistd.h>

namespace mithral::python {

// As pybind11's gil_scoped_release, except at the interpreter's end: there CPython before 3.14 ends a daemon thread
// that wants the lock back by pthread_exit, which unwinds its stack, and no destructor may be left that way: the
// process would be aborted. Here the thread waits until the process ends, as it does from 3.14 on.
class ReleasedGil {
 public:
  ReleasedGil() : state_(PyEval_SaveThread()) {}
  ReleasedGil(const ReleasedGil&) = delete;
  ReleasedGil& operator=(const ReleasedGil&) = delete;
  ~ReleasedGil() {
    try {
      PyEval_RestoreThread(state_);
    } catch (...) {
      for (;;) pause();
    }
  }

 private:
  PyThreadState* state_;
};

}  // namespace mithral::python
