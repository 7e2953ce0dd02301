"""Flow control of a connection that may hold bytes back."""

from uvicorn.protocols.http.flow_control import FlowControl


class Flow(FlowControl):
    """Flow control that reads nothing while bytes are held."""

    held = False
    """Whether bytes are held."""

    def hold(self) -> None:
        """Stop reading until `release`, whatever else resumes it."""
        self.held = True
        self.pause_reading()

    def release(self) -> None:
        """Resume reading."""
        self.held = False
        self.resume_reading()

    def resume_reading(self) -> None:
        """Resume reading, unless bytes are held."""
        if not self.held:
            super().resume_reading()
