// Which kernel positions of a window lie inside the map: the same set for large regions of pixels.
#pragma once

#include <cstddef>
#include <vector>

#include "runtime/geometry.h"

namespace kompakt {

// Kernel positions [first, last) along one axis that read the map and not its padding.
struct TapRange {
  size_t first, last;

  size_t size() const { return last - first; }
  friend bool operator==(const TapRange& a, const TapRange& b) { return a.first == b.first && a.last == b.last; }
};

// Pixels of an output map sorted into classes: pixels of one class have the same positions inside.
class Border {
 public:
  explicit Border(const Window& window);

  size_t classes() const { return rows_.size() * columns_.size(); }
  TapRange rows(size_t index) const { return rows_[index / columns_.size()]; }
  TapRange columns(size_t index) const { return columns_[index % columns_.size()]; }

  // Classes of pixels [first, first + count), which run over images, rows, columns.
  void classes_of(size_t first, size_t count, size_t* classes) const;

 private:
  std::vector<TapRange> rows_, columns_;  // distinct
  std::vector<size_t> row_class_, column_class_;  // of every output row and column
};

}  // namespace kompakt
