"""The offline part: data, fit, export, evaluation. It needs torch, and the service never imports it."""
