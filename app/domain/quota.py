"""The arithmetic of resources: what is asked, held and free, always in the same three whole numbers."""

from dataclasses import dataclass

from app.domain.quantities import format_cpu, format_memory


@dataclass(frozen=True)
class Resources:
    """Thousandths of a core, bytes of memory, whole GPUs."""

    cpu_millis: int = 0
    memory_bytes: int = 0
    gpus: int = 0

    def __add__(self, other: "Resources") -> "Resources":
        return Resources(
            self.cpu_millis + other.cpu_millis, self.memory_bytes + other.memory_bytes, self.gpus + other.gpus
        )

    def __sub__(self, other: "Resources") -> "Resources":
        return Resources(
            self.cpu_millis - other.cpu_millis, self.memory_bytes - other.memory_bytes, self.gpus - other.gpus
        )

    def __mul__(self, count: int) -> "Resources":
        return Resources(self.cpu_millis * count, self.memory_bytes * count, self.gpus * count)

    def __floordiv__(self, count: int) -> "Resources":
        return Resources(self.cpu_millis // count, self.memory_bytes // count, self.gpus // count)

    def shortfall(self, limit: "Resources") -> "Resources":
        """How much of each is above `limit`; zero where it fits."""
        over = self - limit
        return Resources(max(over.cpu_millis, 0), max(over.memory_bytes, 0), max(over.gpus, 0))

    def fits(self, limit: "Resources") -> bool:
        return self.shortfall(limit) == Resources()

    def capped(self, limit: "Resources") -> "Resources":
        """The largest that fits into `limit` and is no more than this."""
        return self - self.shortfall(limit)

    def __str__(self) -> str:
        parts = [f"{format_cpu(self.cpu_millis)} CPU", format_memory(_rounded(self.memory_bytes))]
        if self.gpus:
            parts.append(f"{self.gpus} GPU")
        return ", ".join(parts)


def _rounded(size: int) -> int:
    """Down to whole MiB, which is what people count in; less than that is left as it is."""
    return size // 2**20 * 2**20 or size
