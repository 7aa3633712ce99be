class VLLMError(Exception): ...
class VLLMClientError(VLLMError): ...

class VLLMValidationError(VLLMClientError):
    parameter: str | None

class GracefulHTTPError(VLLMError):
    message: str
