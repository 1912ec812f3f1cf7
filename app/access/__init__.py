"""Who may call the service, and how often: API keys, the admin token, limits of rates.

access        decides about a request: its key, the key's scopes, its rate
api_keys      reads the file of API keys, and reads it again when it changes
limiter       counts requests in the memory of this process
redis_limiter counts requests in Redis, for all workers and machines together
"""
