#ifndef HMAR_SERVER_OPERATIONS_SCRAPED_GAUGES_H_
#define HMAR_SERVER_OPERATIONS_SCRAPED_GAUGES_H_

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "prometheus/collectable.h"
#include "prometheus/labels.h"
#include "prometheus/metric_family.h"

namespace hmar {

// Gauges that nobody sets: each scrape asks for their values, so that what changes thousands of
// times a second costs nothing but when somebody looks. Add while it is set up, by one thread;
// Collect is thread-safe afterwards.
class ScrapedGauges final : public prometheus::Collectable {
 public:
  // Called by the scraping thread as long as the object lives: thread-safe, and soon done.
  using Read = std::function<double()>;

  // Series of one name stand together, under the first one's help.
  void Add(const std::string& name, const std::string& help, const prometheus::Labels& labels,
           Read read);

  std::vector<prometheus::MetricFamily> Collect() const override;

 private:
  struct Family {
    std::string name;
    std::string help;
    std::vector<std::pair<prometheus::Labels, Read>> gauges;
  };
  std::vector<Family> families_;
};

}  // namespace hmar

#endif  // HMAR_SERVER_OPERATIONS_SCRAPED_GAUGES_H_
