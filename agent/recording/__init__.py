"""Recording a conversation with a module into a file, masked or not."""
