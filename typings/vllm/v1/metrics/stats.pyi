class SchedulerStats:
    num_running_reqs: int
    num_waiting_reqs: int
    num_skipped_waiting_reqs: int
    kv_cache_usage: float

class IterationStats: ...
class MultiModalCacheStats: ...
